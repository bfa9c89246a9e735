"""The parent of all children: a small program of its own, run by sandq/child/spawn.py.

Why a process in between:
1. It is single-threaded and small, so that work between fork and exec is safe and cheap.
2. It starts with an empty environment and never holds the Redis URL; nobody but root may look
   into it.
3. It outlives a killed supervisor by a moment: when the supervisor's end of the socket closes,
   for whatever reason, it kills every child with everything they started, and ends.
4. Orphans of a child become its children (subreaper), so that they are found and killed too.
5. Walls are built and limits are watched here, beside the supervisor's work, not in its way.

It talks over one SOCK_SEQPACKET socket, one JSON object per packet:
  in   {"op":"spawn","n":1,"argv":[…],"path":…,"env":{…},"cwd":…,"rlimits":{…}}
       + 3 or 4 descriptors, which become 0, 1, 2 and 3; and, if they are wanted:
       "no_new_privileges":true
       "walls":{"kind":"bwrap",…}     walls.py tells its members
       "walls":{"kind":"landlock",…}  landlock.py
       "watch":{"memory":bytes,"cpu_s":n,"pids":n,"inodes":n}  of all its processes together
       "cgroup":{"above":folder,"write":{file:text}}
  in   {"op":"kill","pid":7,"signal":15}
  in   {"op":"freeze","pid":7}, {"op":"thaw","pid":7}
  in   {"op":"watch","pid":9,"watch":{…}}, {"op":"unwatch","pid":9}  what a child has started
  out  {"n":1,"pid":7} or {"n":1,"step":"exec","errno":2} or {"n":1,"step":"walls","text":…}
  out  {"exit":7,"status":9,"cpu_s":0.1,"max_rss_kb":9000,"oom":false}; and, if it is so:
       "limit":{"name":"memory","value":268435456,"peak":301000000}  which limit has ended it
       "began":false  the walls stood, but the program in them could not be run
  out  {"limit_hit":9,"limit":{…}}  just before what was named by "watch" is killed for it

With bubblewrap, `pid` is that of its outer process. The answer comes once the walls stand. What
bubblewrap itself has to say, it says on the child's descriptor 2, which the supervisor reads:
"text" only tells that it failed and how.

Only the standard library: it runs as `python -I -S sandq/child/spawner FD`, without the package.
"""

#: Marks everything a child starts, so that it is known by its environment when it has left
#: the child's process group and session.
TAG = "SANDQ_CHILD"

"""Inside the walls: a Python interpreter that has loaded what jobs need, and forks one per job.

Why: a new interpreter takes 20 ms, a copy of one that is there 1 ms. Each copy gets namespaces of
its own (users, processes, files, network, IPC, names), a `/proc`, `/tmp` and `/dev/pts` of its own,
no capability, and ends as process 1 of its namespace: the kernel kills with it all it has started.

1. The server runs no code of a handler, only the modules named in `preload`: a handler may be a
   tenant's, and what it could change here would reach every later job.
2. It needs no privilege: a user namespace per job brings what mounting takes. That costs 0.05 ms a
   job, and the kernel counts processes per user and namespace, so that the jobs of one server do
   not use up each other's RLIMIT_NPROC.
3. It must have one thread and no files open: a fork copies one thread alone, and a file opened
   before would be shared between jobs.
4. It is process 2 of its walls at least: a random generator that tells a fork by a new process
   number would not notice that of process 1.

It talks over one SOCK_SEQPACKET socket, one JSON object per packet:
  in   {"op":"open","n":1,"preload":[…],"words":[…],"rlimits":{…},
        "disk":bytes|null,"inodes":n|null,"net":false,"seccomp":base64|null}, first and once
  out  {"n":1,"ready":true} or {"n":1,"step":"walls","text":…}, and then it ends
  in   {"op":"spawn","n":2,"env":{…}} + 3 or 4 descriptors, which become 0, 1, 2 and 3
  out  {"n":2,"pid":7} + its pidfd, or {"n":2,"step":"walls","text":…}
  in   {"op":"kill","pid":7,"signal":9}
  out  {"exit":7,"status":9,"cpu_s":0.1,"max_rss_kb":9000,"oom":false}
The pids are those of the walls' namespace. Jobs run in the folder that it was started in. When
the socket closes, it ends and all jobs with it.

Only the standard library, of Python 3.9 and later. It runs as `python forkserver FD`, with the
options of the handler's own interpreter.
"""

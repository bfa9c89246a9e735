-- retry: jobs that have ended are run again
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, reset (1 to count their attempts anew, or 0), then for each job: id
-- REPLY   for each job: restarted, missing, or the state that it is in and that has not ended
-- ERRORS  none
-- EVENTS  waiting
-- include: clock
-- include: move
-- include: restart
local jobs, reply = {}, {}

for i = 3, #ARGV do
  local job = Move.read(ARGV[i])
  if not job then
    reply[#reply + 1] = 'missing'
  elseif Move.FINAL[job.state] then
    -- it may be asked for twice; it is restarted once
    if not jobs[job.id] then
      jobs[#jobs + 1] = job
      jobs[job.id] = true
    end
    reply[#reply + 1] = 'restarted'
  else
    reply[#reply + 1] = job.state
  end
end
Restart.all(jobs, Clock.now(ARGV[1]), ARGV[2] == '1')

return reply

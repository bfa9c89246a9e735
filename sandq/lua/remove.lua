-- remove: jobs go, with all that is kept of them
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, force (1 to remove even what is being run, or 0), then for each job: id
-- REPLY   for each job: removed, missing or active
-- ERRORS  none
-- EVENTS  removed
-- include: keys
-- include: clock
-- include: events
-- include: wake
-- include: move
local since = Clock.text(Clock.now(ARGV[1]))
local reply = {}

for i = 3, #ARGV do
  local id = ARGV[i]
  local job = Move.read(id)
  if not job then
    reply[#reply + 1] = 'missing'
  elseif job.state == 'active' and ARGV[2] ~= '1' then
    reply[#reply + 1] = 'active'
  else
    Move.remove(job, job.state)
    if job.state == 'active' then
      -- whoever runs it is to stop, and another job may start
      redis.call('HSET', Keys.cancelling, id, since .. ' removed')
      Wake.ring()
    elseif not Move.FINAL[job.state] then
      Move.call_another(job)
    end
    Events.emit('removed', id)
    reply[#reply + 1] = 'removed'
  end
end
Move.flush()

return reply

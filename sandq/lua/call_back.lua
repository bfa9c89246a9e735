-- call_back: jobs that a rate limit put off wait again: the limit was lifted, or is another one
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    begin (how many delayed jobs to pass over), looked_at (most delayed jobs looked at)
-- REPLY   where to go on, -1 at the end; then how many came back
-- ERRORS  none
-- EVENTS  waiting
-- include: keys
-- include: events
-- include: wake
-- include: move
local begin, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local members = redis.call('ZRANGE', Keys.delayed, begin, begin + most - 1)
local back = 0

for _, member in ipairs(members) do
  local job = Move.placed(member)
  local f = redis.call('HMGET', Keys.job(job.id), 'put_off', 'due', 'priority')
  -- a job that was delayed again since, for another reason, is due at another time
  if f[1] and f[1] == f[2] then
    Move.change(job, 'delayed', 'waiting', Move.rank(f[3]), {})
    Events.emit('waiting', job.id)
    back = back + 1
  end
end
Move.flush()
if back > 0 then
  Wake.ring()
end

return { #members == most and begin + most - back or -1, back }

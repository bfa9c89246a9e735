-- promote: delayed jobs may start now
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    for each job: id
-- REPLY   for each job: promoted, missing, or the state that it is in and that is not delayed
-- ERRORS  none
-- EVENTS  waiting
-- include: events
-- include: wake
-- include: move
local reply = {}
local promoted = {}

for i, id in ipairs(ARGV) do
  local job = Move.read(id)
  if not job then
    reply[i] = 'missing'
  elseif job.state == 'delayed' and not promoted[id] then
    Move.change(job, 'delayed', 'waiting', Move.rank(job.priority), {})
    Events.emit('waiting', id)
    promoted[id] = true
    reply[i] = 'promoted'
  else
    reply[i] = promoted[id] and 'promoted' or job.state
  end
end
Move.flush()
if next(promoted) then
  Wake.ring()
end

return reply

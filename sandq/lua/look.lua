-- look: all fields of some jobs
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    for each job: id
-- REPLY   for each job the flat list of its hash, empty if there is no such job
-- ERRORS  none
-- EVENTS  none
-- include: keys
local reply = {}
for i, id in ipairs(ARGV) do
  reply[i] = redis.call('HGETALL', Keys.job(id))
end

return reply

-- list_workers: the supervisors that are there
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    none
-- REPLY   for each a list of worker, last seen (ms), what it says of itself as JSON text
-- ERRORS  none
-- EVENTS  none
-- include: keys
local reply = {}
local found = redis.call('ZRANGE', Keys.workers, 0, -1, 'WITHSCORES')
for i = 1, #found, 2 do
  local says = redis.call('GET', Keys.worker(found[i]))
  if says then
    reply[#reply + 1] = { found[i], found[i + 1], says }
  end
end

return reply

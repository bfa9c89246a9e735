-- ranks: how many jobs wait at each priority
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    for each rank (the priority; 4294967296 for none): rank
-- REPLY   for each: how many jobs of that rank are waiting
-- ERRORS  none
-- EVENTS  none
-- include: keys
local reply = {}
for i, rank in ipairs(ARGV) do
  reply[i] = redis.call('ZCOUNT', Keys.waiting, rank, rank)
end

return reply

-- counts: how many jobs are in each state, at one moment
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    none
-- REPLY   waiting, delayed, active, completed, failed, cancelled, and 1 if the queue is paused
-- ERRORS  none
-- EVENTS  none
-- include: keys
local counts = {}
for i = 1, 6 do
  counts[i] = redis.call('ZCARD', KEYS[i])
end
-- parked jobs are waiting, but for their group to have room
counts[1] = counts[1] + redis.call('ZCARD', Keys.parked)
counts[7] = redis.call('HEXISTS', Keys.meta, 'paused')

return counts

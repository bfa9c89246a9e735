-- obliterate: the queue goes with the last of its jobs, unless there are too many of them
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    most (jobs of a state that go), then for each key that the queue has one of: name
-- REPLY   how many jobs are left; 0 if the queue is gone
-- ERRORS  none
-- EVENTS  none
-- include: keys
-- include: states
-- include: emptying
--
-- Whoever adds a job at this moment adds it before, and it goes as well, or after: then it is the
-- first job of a new queue. Nothing is left that is half of it.
-- parked jobs first: active ones that go would call them back to waiting
local _, left = Emptying.drop('parked', tonumber(ARGV[1]))
for state in pairs(States.legal) do
  left = left + select(2, Emptying.drop(state, tonumber(ARGV[1])))
end
if left > 0 then
  return left
end

for _, key in ipairs(redis.call('ZRANGE', Keys.series, 0, -1)) do
  redis.call('UNLINK', Keys.one_series(key))
end
for _, worker in ipairs(redis.call('ZRANGE', Keys.workers, 0, -1)) do
  redis.call('UNLINK', Keys.worker(worker))
end
for i = 2, #ARGV do
  redis.call('UNLINK', Keys.base .. ARGV[i])
end

return 0

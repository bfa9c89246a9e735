-- beat: a supervisor says that it is there, and what it does
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, worker, kept_ms (0: it leaves), says (what it says of itself, JSON text)
-- REPLY   how many supervisors are there
-- ERRORS  none
-- EVENTS  none
-- include: keys
-- include: clock
-- include: wake
local now, worker, kept = Clock.now(ARGV[1]), ARGV[2], tonumber(ARGV[3])
if kept == 0 then
  redis.call('ZREM', Keys.workers, worker)
  redis.call('UNLINK', Keys.worker(worker))
  -- it may have been the only one that knew when the next job is due
  Wake.ring()
else
  redis.call('SET', Keys.worker(worker), ARGV[4], 'PX', ARGV[3])
  redis.call('ZADD', Keys.workers, Clock.text(now), worker)
  redis.call('ZREMRANGEBYSCORE', Keys.workers, '-inf', Clock.text(now - kept))
end

return redis.call('ZCARD', Keys.workers)

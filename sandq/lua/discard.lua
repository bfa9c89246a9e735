-- discard: a job is not tried again if it fails
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    id
-- REPLY   1, or 0 if there is no such job
-- ERRORS  none
-- EVENTS  none
-- include: keys
if redis.call('EXISTS', Keys.job(ARGV[1])) == 0 then
  return 0
end
redis.call('HSET', Keys.job(ARGV[1]), 'discard', '1', 'extra', '1')

return 1

-- failures: the failure records of a job's attempts, oldest first
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    id
-- REPLY   the records, JSON text each
-- ERRORS  none
-- EVENTS  none
-- include: keys
local records = redis.call('LRANGE', Keys.failures(ARGV[1]), 0, -1)
records[#records + 1] = redis.call('HGET', Keys.job(ARGV[1]), 'failure') or nil

return records

-- logs: some log rows of a job
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    id, start, stop
-- REPLY   how many rows there are, then the list of rows: the time in ms, a space, JSON text
-- ERRORS  none
-- EVENTS  none
-- include: keys
local key = Keys.logs(ARGV[1])

return { redis.call('LLEN', key), redis.call('LRANGE', key, ARGV[2], ARGV[3]) }

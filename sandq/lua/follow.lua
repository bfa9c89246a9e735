-- follow: log rows of a job from one on, and where the job is: whether there may be more
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    id, start, most, first (rows that stay whatever is left out)
-- REPLY   the job's state, empty if there is no such job; how many rows there are; the row after the
--         first ones, which becomes another one when rows are left out; then the list of rows
-- ERRORS  none
-- EVENTS  none
-- include: keys
local f = redis.call('HMGET', Keys.job(ARGV[1]), 'name', 'state')
local key = Keys.logs(ARGV[1])

return {
  f[1] and (f[2] or 'waiting') or '',
  redis.call('LLEN', key),
  redis.call('LINDEX', key, ARGV[4]),
  redis.call('LRANGE', key, ARGV[2], ARGV[2] + ARGV[3] - 1),
}

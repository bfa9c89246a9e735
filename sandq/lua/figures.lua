-- figures: counts, totals, failed jobs by kind, and how long the oldest job waits
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now
-- REPLY   now; the numbers of jobs as counts gives them; the totals and the failed jobs by kind, flat
--         lists of name and number; when the first waiting job was added and when the first delayed
--         one was due (ms, or -1); how many jobs of each group are active, a flat
--         list; how many active jobs have outlived their lease
-- ERRORS  none
-- EVENTS  none
-- include: keys
-- include: clock
local now = Clock.text(Clock.now(ARGV[1]))
local counts = {}
for i = 1, 6 do
  counts[i] = redis.call('ZCARD', KEYS[i])
end
counts[1] = counts[1] + redis.call('ZCARD', Keys.parked)
counts[7] = redis.call('HEXISTS', Keys.meta, 'paused')

local oldest = '-1'
local first = redis.call('ZRANGE', Keys.waiting, 0, 0)[1]
if first then
  oldest = redis.call('HGET', Keys.job(string.sub(first, 15)), 'created') or '-1'
end
local due = redis.call('ZRANGE', Keys.delayed, 0, 0, 'WITHSCORES')[2] or '-1'

return {
  now, counts, redis.call('HGETALL', Keys.totals),
  redis.call('HGETALL', Keys.kinds), oldest, due, redis.call('HGETALL', Keys.groups),
  redis.call('ZCOUNT', Keys.active, '-inf', now),
}

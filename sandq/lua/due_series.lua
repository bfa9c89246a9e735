-- due_series: series whose outstanding occurrence is due, so that the next one is to be made
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, most
-- REPLY   now, then for each series a list of key, due (ms), anchor, made, rule
-- ERRORS  none
-- EVENTS  none
-- include: keys
-- include: clock
local now = Clock.text(Clock.now(ARGV[1]))
local reply = { now }

local due = redis.call('ZRANGEBYSCORE', Keys.series, '-inf', now, 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for i = 1, #due, 2 do
  local f = redis.call('HMGET', Keys.one_series(due[i]), 'anchor', 'made', 'rule')
  reply[#reply + 1] = { due[i], due[i + 1], f[1] or '0', f[2] or '0', f[3] or '' }
end

return reply

-- list_series: some series, by their next occurrence
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    start, stop, latest_first (1, or 0)
-- REPLY   how many there are, then for each a list of key, next (ms), name, rule, made
-- ERRORS  none
-- EVENTS  none
-- include: keys
local range = ARGV[3] == '1' and 'ZREVRANGE' or 'ZRANGE'
local reply = { redis.call('ZCARD', Keys.series) }
local found = redis.call(range, Keys.series, ARGV[1], ARGV[2], 'WITHSCORES')
for i = 1, #found, 2 do
  local f = redis.call('HMGET', Keys.one_series(found[i]), 'name', 'rule', 'made')
  if f[1] then
    reply[#reply + 1] = { found[i], found[i + 1], f[1], f[2], f[3] }
  end
end

return reply

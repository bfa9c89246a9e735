-- upsert_series: a series is made, or replaced with its outstanding occurrence
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, key, first_ms (the first occurrence), anchor_ms, rule (JSON text), name, data, opts,
--         priority, extras
-- REPLY   the id of the outstanding occurrence, and 1 if the series is new
-- ERRORS  SANDQ_INVALID
-- EVENTS  delayed, waiting, removed, duplicated
-- include: keys
-- include: clock
-- include: wake
-- include: birth
-- include: series
-- include: move
local now, key, first = Clock.now(ARGV[1]), ARGV[2], tonumber(ARGV[3])
if key == '' or not first or not tonumber(ARGV[4]) then
  return redis.error_reply('SANDQ_INVALID a series has a key, a first occurrence and an anchor')
end
local _, wrong = Birth.check(ARGV[9], '0', ARGV[10])
if wrong then
  return redis.error_reply('SANDQ_INVALID ' .. wrong)
end

local before = redis.call('ZSCORE', Keys.series, key)
if before then
  Series.drop(key, tonumber(before))
  Move.flush()
end
redis.call('HSETNX', Keys.meta, 'layout', Keys.LAYOUT)
redis.call('HSET', Keys.one_series(key), 'anchor', ARGV[4], 'rule', ARGV[5], 'name', ARGV[6], 'data', ARGV[7],
  'opts', ARGV[8], 'priority', ARGV[9], 'extras', ARGV[10], 'made', 1)
redis.call('ZADD', Keys.series, Clock.text(first), key)
local spec = Series.read(key)
Series.make(key, spec, first, now)
Move.flush()
Wake.ring()

return { Series.id(key, first), before and 0 or 1 }

-- remove_series: series end, and their outstanding occurrences go
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    for each series: key
-- REPLY   how many there were
-- ERRORS  none
-- EVENTS  removed
-- include: keys
-- include: series
-- include: move
local removed = 0
for _, key in ipairs(ARGV) do
  local due = redis.call('ZSCORE', Keys.series, key)
  if due then
    Series.drop(key, tonumber(due))
    redis.call('ZREM', Keys.series, key)
    redis.call('UNLINK', Keys.one_series(key))
    removed = removed + 1
  end
end
Move.flush()

return removed

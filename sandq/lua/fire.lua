-- fire: an occurrence is due: the next one is made with it, and those that are made up for
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, key, due_ms (the occurrence that is due), drop (1 to drop it if it was not started, or
--         0), next_ms (the occurrence after it; empty: the series ends), then for each occurrence to be
--         made up for: ms
-- REPLY   fired or late (somebody else was first), then the ids of the jobs that were made
-- ERRORS  none
-- EVENTS  delayed, waiting, removed, duplicated
-- include: keys
-- include: clock
-- include: wake
-- include: series
-- include: move
--
-- The score of the series is the occurrence that is outstanding: whoever finds another one there
-- comes too late, so no occurrence is fired twice and no crash ends a series.
local now, key, due = Clock.now(ARGV[1]), ARGV[2], ARGV[3]
local score = redis.call('ZSCORE', Keys.series, key)
if not score or tonumber(score) ~= tonumber(due) then
  return { 'late' }
end

local spec = Series.read(key)
local reply = { 'fired' }
local made = 0

-- The plan counts on an occurrence that is dropped; if it has been started all the same, one less
-- may be made.
local function may_make()
  return spec.made + made < spec.limit
end

if spec then
  if ARGV[4] == '1' and Series.drop(key, tonumber(due)) then
    made = made - 1
  end
  for i = 6, #ARGV do
    if may_make() then
      reply[#reply + 1] = Series.make(key, spec, tonumber(ARGV[i]), now)
      made = made + 1
    end
  end
end
if spec and ARGV[5] ~= '' and may_make() then
  reply[#reply + 1] = Series.make(key, spec, tonumber(ARGV[5]), now)
  redis.call('ZADD', Keys.series, ARGV[5], key)
  redis.call('HINCRBY', Keys.one_series(key), 'made', made + 1)
else
  redis.call('ZREM', Keys.series, key)
  redis.call('UNLINK', Keys.one_series(key))
end
Move.flush()
Wake.ring()

return reply

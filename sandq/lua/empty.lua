-- empty: jobs of the given states go, the first so many of them
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    most, then for each state: state
-- REPLY   how many went, and how many are left in these states
-- ERRORS  SANDQ_INVALID
-- EVENTS  cleaned
-- include: states
-- include: events
-- include: wake
-- include: emptying
local most = tonumber(ARGV[1])
for i = 2, #ARGV do
  if not States.legal[ARGV[i]] then
    return redis.error_reply('SANDQ_INVALID no such state: ' .. ARGV[i])
  end
end

local gone, left = 0, 0

local function drop(set)
  local went, stay = Emptying.drop(set, most - gone)
  gone, left = gone + went, left + stay
end

for i = 2, #ARGV do
  local state = ARGV[i]
  local before = gone
  drop(state)
  if state == 'waiting' then
    drop('parked')
  end
  if gone > before then
    Events.emit('cleaned', '', 'state', state, 'count', gone - before)
    if state == 'active' then
      Wake.ring()
    end
  end
end

return { gone, left }

-- tend: what time alone brings, and jobs whose group has room by now
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now
-- REPLY   how many delayed jobs became waiting, how many parked jobs came back, 1 if there is more
--         of either to be done at once
-- ERRORS  none
-- EVENTS  waiting, failed, removed
-- include: keys
-- include: clock
-- include: wake
-- include: due
-- include: move
--
-- Parked jobs come back when a job of their group ends. This finds those that nobody would call
-- back: limits were lifted, or a counter was lost with its key.
local MOST_ASKED = 100
local KEPT_MS = 60000

local now = Clock.now(ARGV[1])
local promoted = Due.promote(now, Due.MOST)
Due.sweep(now)
-- whatever the settings are now: there may be windows of earlier ones
Due.windows(now)

local back, groups = 0, 0
local member = redis.call('ZRANGE', Keys.parked, 0, 0)[1]
while member and groups < MOST_ASKED and back < Due.MOST do
  local group = string.sub(member, 1, string.find(member, '\0', 1, true) - 1)
  back = back + Due.call_back(now, group)
  groups = groups + 1
  member = redis.call('ZRANGEBYLEX', Keys.parked, '(' .. group .. '\1', '+', 'LIMIT', 0, 1)[1]
end
-- what nobody asked about any more: its supervisor is gone
local cancelling = redis.call('HGETALL', Keys.cancelling)
for i = 1, #cancelling, 2 do
  local since = tonumber(string.match(cancelling[i + 1], '^%d+'))
  if since and since < now - KEPT_MS and not redis.call('ZSCORE', Keys.active, cancelling[i]) then
    redis.call('HDEL', Keys.cancelling, cancelling[i])
  end
end
Move.flush()
if promoted > 0 then
  Wake.ring()
end

return { promoted, back, (promoted == Due.MOST or back >= Due.MOST or (member and back > 0)) and 1 or 0 }

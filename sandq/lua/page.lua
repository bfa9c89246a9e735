-- page: some jobs of one state, with all their fields
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    state, start, stop, newest_first
-- REPLY   for each job a list of its id and the flat list of its hash
-- ERRORS  SANDQ_INVALID
-- EVENTS  none
-- include: keys
-- include: states
-- include: move
local state, start, stop = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if not States.legal[state] then
  return redis.error_reply('SANDQ_INVALID no such state: ' .. state)
end

local newest_first = ARGV[4] == '1'
local range = newest_first and 'ZREVRANGE' or 'ZRANGE'
local reply = {}

local function add(id)
  local fields = redis.call('HGETALL', Keys.job(id))
  if #fields > 0 then
    reply[#reply + 1] = { id, fields }
  end
end

-- Parked jobs are waiting as well, and come after the others: their group has no room.
local function sections()
  if state == 'waiting' then
    local sets = { { Keys.waiting, Move.placed_id }, { Keys.parked, Move.parked_id } }
    return newest_first and { sets[2], sets[1] } or sets
  end

  return { { Keys[state], state == 'delayed' and Move.placed_id or function(id) return id end } }
end

local parts = sections()
local total = 0
for _, part in ipairs(parts) do
  part.size = redis.call('ZCARD', part[1])
  total = total + part.size
end
start = start < 0 and math.max(0, total + start) or start
stop = stop < 0 and total + stop or stop
for _, part in ipairs(parts) do
  if start <= stop and start < part.size then
    for _, member in ipairs(redis.call(range, part[1], start, math.min(stop, part.size - 1))) do
      add(part[2](member))
    end
  end
  start, stop = math.max(0, start - part.size), stop - part.size
end

return reply

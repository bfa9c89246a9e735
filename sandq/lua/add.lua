-- add: put one or many new jobs into the queue
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, then for each job: id, name, data, opts, priority, delay_ms, lifo
-- REPLY   the list of ids, in the order given
-- ERRORS  SANDQ_INVALID
-- EVENTS  waiting, delayed, duplicated
-- include: keys
-- include: clock
-- include: events
-- include: wake
-- include: due
-- include: move
--
-- An empty id is filled from the queue's counter. An id that exists already adds nothing.
local WIDTH = 7
-- the same numbers as in sandq/model/options.py and sandq/model/duration.py
local MAX_PRIORITY = 2147483648
local MAX_DELAY_MS = 3162240000000

if (#ARGV - 1) % WIDTH ~= 0 or #ARGV == 1 then
  return redis.error_reply('SANDQ_INVALID each job takes ' .. WIDTH .. ' values')
end
for i = 2, #ARGV, WIDTH do
  local priority, delay = tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5])
  -- written so that nan is refused as well
  if not (priority and priority >= 0 and priority <= MAX_PRIORITY and priority % 1 == 0) then
    return redis.error_reply('SANDQ_INVALID priority must be a whole number from 0 to 2^31')
  end
  if not (delay and delay >= 0 and delay <= MAX_DELAY_MS and delay % 1 == 0) then
    return redis.error_reply('SANDQ_INVALID delay_ms must be a whole number from 0 to 100 years')
  end
end

local now = Clock.now(ARGV[1])
local created = Clock.text(now)
local count, unnamed = (#ARGV - 1) / WIDTH, 0
for i = 2, #ARGV, WIDTH do
  unnamed = unnamed + (ARGV[i] == '' and 1 or 0)
end
local number = Move.numbers('seq', count)
if number == 1 then
  redis.call('HSET', Keys.meta, 'layout', Keys.LAYOUT)
end
local next_id = unnamed > 0 and Move.numbers('ids', unnamed)
local earliest = Due.next()
local ids = {}
local ring = false

for i = 2, #ARGV, WIDTH do
  local id, delay = ARGV[i], tonumber(ARGV[i + 5])
  local own = id ~= ''
  if not own then
    id = string.format('%.0f', next_id)
    next_id = next_id + 1
  end

  if own and redis.call('EXISTS', Keys.job(id)) == 1 then
    Events.emit('duplicated', id)
  else
    local place = Move.place(number, ARGV[i + 6] == '1')
    local fields = { 'name', ARGV[i + 1], 'data', ARGV[i + 2], 'created', created, 'place', place }
    if ARGV[i + 3] ~= '' then
      fields[#fields + 1] = 'opts'
      fields[#fields + 1] = ARGV[i + 3]
    end
    if ARGV[i + 4] ~= '0' then
      fields[#fields + 1] = 'priority'
      fields[#fields + 1] = ARGV[i + 4]
    end

    if delay > 0 then
      Move.create(id, place, ARGV[i + 4], now + delay, fields)
      Events.emit('delayed', id)
      -- an idle supervisor waits for the earliest due job it knows of: tell it of an earlier one
      ring = ring or earliest == -1 or now + delay < earliest
    else
      Move.create(id, place, ARGV[i + 4], nil, fields)
      Events.emit('waiting', id)
      ring = true
    end
  end
  ids[#ids + 1] = id
  number = number + 1
end

Move.flush()
if ring then
  Wake.ring()
end

return ids

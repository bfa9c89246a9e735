-- add: put one or many new jobs into the queue
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, version (of the settings that were obeyed; empty: any), then for each job:
--         id, name, data, opts, priority, delay_ms, extras
-- REPLY   the list of ids, in the order given
-- ERRORS  SANDQ_INVALID, SANDQ_STALE, SANDQ_FULL
-- EVENTS  waiting, delayed, duplicated
-- include: keys
-- include: clock
-- include: events
-- include: wake
-- include: tally
-- include: birth
-- include: move
--
-- An empty id is filled from the queue's counter. An id that exists already adds nothing, nor
-- does a dedup key that is taken: then the answer is the id of the job that has it.
local WIDTH = 7
local FIRST = 3

if (#ARGV - FIRST + 1) % WIDTH ~= 0 or #ARGV < FIRST then
  return redis.error_reply('SANDQ_INVALID each job takes ' .. WIDTH .. ' values')
end
local settings = redis.call('HMGET', Keys.meta, 'version', 'max_size', 'max_delay')
if ARGV[2] ~= '' and ARGV[2] ~= (settings[1] or '0') then
  return redis.error_reply('SANDQ_STALE the settings of the queue have changed')
end

-- everything is checked before the first write: a script is not rolled back
local now = Clock.now(ARGV[1])
local max_size, max_delay = tonumber(settings[2]), tonumber(settings[3])
local extras = {}
local immediate, unnamed = 0, 0
-- jobs and dedup keys that are taken by earlier ones of this call
local seen = {}

-- Whether a job is one more that waits: it is new, and has not to wait elsewhere first.
local function is_one_more(id, delay_ms, special)
  local job, dedup = id ~= '' and Keys.job(id), special and special.dedup and Keys.dedup(special.dedup)
  local taken = (job and (seen[job] or redis.call('EXISTS', job) == 1))
    or (dedup and (seen[dedup] or redis.call('EXISTS', dedup) == 1))
  seen[job or ''], seen[dedup or ''] = true, true

  return not taken and delay_ms == 0 and not (special and special.run_at and special.run_at > now)
end

for i = FIRST, #ARGV, WIDTH do
  local id, special, wrong = ARGV[i], Birth.check(ARGV[i + 4], ARGV[i + 5], ARGV[i + 6])
  if wrong then
    return redis.error_reply('SANDQ_INVALID ' .. wrong)
  end
  if max_delay and special and special.run_at and special.run_at - now > max_delay then
    return redis.error_reply('SANDQ_INVALID run_at is later than the max_delay of the queue allows, '
      .. max_delay .. ' ms from now')
  end
  extras[i] = special
  if id == '' then
    unnamed = unnamed + 1
  end
  if max_size and is_one_more(id, tonumber(ARGV[i + 5]), special) then
    immediate = immediate + 1
  end
end
if immediate > 0 then
  local size = redis.call('ZCARD', Keys.waiting) + redis.call('ZCARD', Keys.parked)
  if size + immediate > max_size then
    return redis.error_reply('SANDQ_FULL ' .. size .. ' jobs wait and the queue takes ' .. max_size)
  end
end

local number = Move.numbers('seq', (#ARGV - FIRST + 1) / WIDTH)
if number == 1 then
  redis.call('HSET', Keys.meta, 'layout', Keys.LAYOUT)
end
local next_id = unnamed > 0 and Move.numbers('ids', unnamed)
local earliest = tonumber(redis.call('ZRANGE', Keys.delayed, 0, 0, 'WITHSCORES')[2])
local ids = {}
local added = 0
local ring = false

-- The job that has the dedup key already, or nil.
local function holder(special)
  local key = special and special.dedup and Keys.dedup(special.dedup)
  local id = key and redis.call('GET', key)
  -- a key without a time to live is worth nothing without its job
  if id and (redis.call('PTTL', key) >= 0 or redis.call('EXISTS', Keys.job(id)) == 1) then
    return id
  end
end

for i = FIRST, #ARGV, WIDTH do
  local id = ARGV[i]
  local taken = id ~= '' and redis.call('EXISTS', Keys.job(id)) == 1 and id or holder(extras[i])
  if id == '' then
    id = string.format('%.0f', next_id)
    next_id = next_id + 1
  elseif not taken then
    -- one that was removed while it ran had this id: the new one is not to be stopped
    redis.call('HDEL', Keys.cancelling, id)
  end

  if taken then
    id = taken
    Events.emit('duplicated', id)
  else
    local due = Birth.job(now, id, number, ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4],
      tonumber(ARGV[i + 5]), extras[i])
    -- an idle supervisor waits for the earliest due job it knows of: tell it of an earlier one
    ring = ring or not due or not earliest or due < earliest
    added = added + 1
  end
  ids[#ids + 1] = id
  number = number + 1
end

if added > 0 then
  Tally.total('added', added)
end
Move.flush()
if ring then
  Wake.ring()
end

return ids

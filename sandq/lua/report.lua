-- report: keep what running attempts say: progress, log rows, parts of their results
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, first (log rows that stay), newest (log rows beside them), then for each report: id,
--         token, kind ('progress', 'log' or 'emit'), text (of 'emit' with its number before it)
-- REPLY   how many were kept; those of lost claims are not
-- ERRORS  SANDQ_INVALID
-- EVENTS  progress, emitted
-- include: keys
-- include: clock
-- include: events
-- include: rows
local FIRST = 4
local KINDS = { progress = true, log = true, emit = true }
for i = FIRST, #ARGV, 4 do
  local kind, text = ARGV[i + 2], ARGV[i + 3]
  if not KINDS[kind] then
    return redis.error_reply('SANDQ_INVALID no such report: ' .. tostring(kind))
  end
  if kind == 'emit' and not string.match(text, '^%d+ .') then
    return redis.error_reply('SANDQ_INVALID a part of a result has no number: ' .. ARGV[i])
  end
end

-- token and id -> the number of the claim, as text; false: it is lost
local claims = {}
local function claim_of(id, token)
  local name = token .. ' ' .. id
  if claims[name] == nil then
    local f = redis.call('HMGET', Keys.job(id), 'token', 'state', 'claims')
    claims[name] = f[1] == token and f[2] == 'active' and f[3]
  end

  return claims[name]
end

-- id -> what is to be appended; what one job says is written in one go
local logs, parts = {}, {}
local function gather(lists, id, value)
  lists[id] = lists[id] or {}
  lists[id][#lists[id] + 1] = value
end

-- The parts of an earlier attempt go; those that are there already were told by a call whose reply
-- was lost.
local function keep_parts(id, told)
  local key = Keys.emitted(id)
  if redis.call('HGET', Keys.job(id), 'emitted') ~= told.claim then
    redis.call('UNLINK', key)
    redis.call('HSET', Keys.job(id), 'emitted', told.claim)
  end
  local count = redis.call('LLEN', key)
  for _, text in ipairs(told) do
    local number, chunk = string.match(text, '^(%d+) (.*)$')
    if tonumber(number) >= count then
      count = redis.call('RPUSH', key, chunk)
    end
  end
  Events.emit('emitted', id, 'count', count)
end

local kept = 0
for i = FIRST, #ARGV, 4 do
  local id, kind, text = ARGV[i], ARGV[i + 2], ARGV[i + 3]
  local claim = claim_of(id, ARGV[i + 1])
  if claim then
    if kind == 'progress' then
      redis.call('HSET', Keys.job(id), 'progress', text)
      Events.emit('progress', id)
    elseif kind == 'log' then
      gather(logs, id, text)
    else
      gather(parts, id, text)
      parts[id].claim = claim
    end
    kept = kept + 1
  end
end
local now = Clock.text(Clock.now(ARGV[1]))
for id, texts in pairs(logs) do
  Rows.append(id, now, texts, tonumber(ARGV[2]), tonumber(ARGV[3]))
end
for id, told in pairs(parts) do
  keep_parts(id, told)
end

return kept

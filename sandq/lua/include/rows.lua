-- rows: a job's log, its first rows and its newest ones, and how many are left out between them
-- include: keys
local Rows = {}

local CHUNK = 2000

-- How many rows a row stands for: one, or as many as it says were left out.
local function weight(row)
  return #row < 64 and tonumber(string.match(row, '^%d+ {"cut":(%d+)}$')) or 1
end

-- The first rows and the newest stay; one row says how many there were between them.
local function shorten(key, first, newest)
  local between = redis.call('LRANGE', key, first, -newest - 1)
  local left_out = 0
  for _, row in ipairs(between) do
    left_out = left_out + weight(row)
  end
  local at = string.match(between[#between], '^%d+')
  local back = { string.format('%s {"cut":%.0f}', at, left_out) }
  local head = redis.call('LRANGE', key, 0, first - 1)
  for i = #head, 1, -1 do
    back[#back + 1] = head[i]
  end
  redis.call('LTRIM', key, -newest, -1)
  redis.call('LPUSH', key, unpack(back))
end

-- Append texts to the log of a job. It is written anew only when there are twice as many of the
-- newest rows as are kept, so a row costs the same however many there are.
function Rows.append(id, now, texts, first, newest)
  local key = Keys.logs(id)
  local length = 0
  for i, text in ipairs(texts) do
    texts[i] = now .. ' ' .. text
  end
  for from = 1, #texts, CHUNK do
    length = redis.call('RPUSH', key, unpack(texts, from, math.min(from + CHUNK - 1, #texts)))
  end
  if length > first + 2 * newest then
    shorten(key, first, newest)
  end
end

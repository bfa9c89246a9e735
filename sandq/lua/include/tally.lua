-- tally: counters, gathered and written once, however many jobs a script moves
-- include: keys
local Tally = {}

local MINUTE_MS = 60000
-- minutes kept of the metrics, unless the queue's settings say otherwise
local POINTS = 1440
local sums = {}
local rings = {}

function Tally.add(key, field, n)
  local fields = sums[key]
  if not fields then
    fields = {}
    sums[key] = fields
  end
  fields[field] = (fields[field] or 0) + n
end

-- What a counter holds, with what this script has added to it.
function Tally.get(key, field)
  local added = sums[key] and sums[key][field] or 0

  return (tonumber(redis.call('HGET', key, field)) or 0) + added
end

-- A total of the queue; those of ended jobs are kept per minute as well.
function Tally.total(what, n)
  Tally.add(Keys.totals, what, n or 1)
end

function Tally.ended(state, now)
  Tally.total(state)
  local key = Keys.metrics(state)
  rings[key] = math.floor(now / MINUTE_MS)
  Tally.add(key, rings[key], 1)
end

-- A minute is new: those that are too old go. This happens once per minute, not per job.
local function prune(key, minute)
  local points = tonumber(redis.call('HGET', Keys.meta, 'points')) or POINTS
  if points == 0 then
    redis.call('UNLINK', key)
    return
  end
  if redis.call('HLEN', key) > points then
    for _, field in ipairs(redis.call('HKEYS', key)) do
      if tonumber(field) <= minute - points then
        redis.call('HDEL', key, field)
      end
    end
  end
end

function Tally.flush()
  for key, fields in pairs(sums) do
    for field, n in pairs(fields) do
      local total = redis.call('HINCRBY', key, field, n)
      -- what counts jobs that are there, and not events, goes back to zero; below it only if its
      -- key was lost meanwhile, and then it must not count against the jobs to come
      if total <= 0 then
        redis.call('HDEL', key, field)
      elseif total == n and rings[key] then
        prune(key, rings[key])
      end
    end
    sums[key] = nil
  end
end

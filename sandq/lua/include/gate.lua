-- gate: how many jobs may start now, by the limits of the queue and of a job's group
-- include: keys
-- include: clock
-- include: tally
local Gate = {}

local NO_LIMIT = 1e15
-- a window is dropped by itself some time after it has ended
local WINDOW_KEPT_MS = 60000
local set
local windows = {}

-- The settings that claims obey, read once per script.
function Gate.settings()
  if not set then
    local f = redis.call('HMGET', Keys.meta, 'paused', 'concurrency', 'group_concurrency', 'rate_max',
      'rate_ms', 'rate_group', 'rate_bounce')
    set = {
      paused = f[1],
      concurrency = tonumber(f[2]),
      group_concurrency = tonumber(f[3]),
      rate_max = tonumber(f[4]),
      rate_ms = tonumber(f[5]),
      rate_group = f[6],
      bounces = f[7],
    }
  end

  return set
end

-- The window of the queue (group nil) or of a group: when it ends, how many jobs have started in
-- it, and how many were delayed because it was full. It begins with its first start (seed 0).
function Gate.window(now, group)
  local name = group or ''
  if not windows[name] then
    local text = redis.call('GET', Keys.limiter(group))
    local ends, used, excess = string.match(text or '', '^(%d+) (%d+) (%d+)$')
    -- one that ends later than any may was begun under another limit
    if ends and tonumber(ends) > now and tonumber(ends) <= now + set.rate_ms then
      windows[name] = { ends = tonumber(ends), used = tonumber(used), excess = tonumber(excess) }
    else
      windows[name] = { ends = now + set.rate_ms, used = 0, excess = 0 }
    end
    windows[name].group = group
  end

  return windows[name]
end

-- How many jobs of the queue may start now, and how many if there were no rate limit.
function Gate.room(now)
  local room = NO_LIMIT
  if Gate.settings().paused then
    return 0, 0
  end
  if set.concurrency then
    room = math.max(0, set.concurrency - redis.call('ZCARD', Keys.active))
  end
  if set.rate_max and not set.rate_group then
    return math.min(room, set.rate_max - Gate.window(now).used), room
  end

  return room, room
end

-- How many jobs of a group may start now, and how many if there were no rate limit.
function Gate.group_room(now, group)
  local room = NO_LIMIT
  if Gate.settings().group_concurrency then
    room = set.group_concurrency - Tally.get(Keys.groups, group)
  end
  if set.rate_max and set.rate_group then
    return math.min(room, set.rate_max - Gate.window(now, group).used), room
  end

  return room, room
end

-- A job has started.
function Gate.started(now, group)
  if set.rate_max and (group or not set.rate_group) then
    local window = Gate.window(now, set.rate_group and group or nil)
    window.used = window.used + 1
    window.changed = true
  end
end

-- When a job that finds its window full may try again: as many as the window takes in the next
-- one, as many again in the one after it.
function Gate.later(now, group)
  local window = Gate.window(now, set.rate_group and group or nil)
  local turn = math.floor(window.excess / set.rate_max)
  window.excess = window.excess + 1
  window.changed = true

  return window.ends + turn * set.rate_ms
end

function Gate.flush()
  for _, window in pairs(windows) do
    if window.changed then
      local text = Clock.text(window.ends) .. ' ' .. window.used .. ' ' .. window.excess
      redis.call('SET', Keys.limiter(window.group), text, 'PX', set.rate_ms + WINDOW_KEPT_MS)
      window.changed = false
    end
  end
end

-- birth: one new job, as its producer or its series describes it
-- include: keys
-- include: clock
-- include: events
-- include: pieces
-- include: move
local Birth = {}

-- the same numbers as in sandq/model/options.py and sandq/model/duration.py
local MAX_PRIORITY = 2147483648
local MAX_DELAY_MS = 3162240000000
-- times of the next thousand years
local MAX_TIME_MS = 1e14

local function is_whole(number, most)
  -- written so that nan is refused as well
  return type(number) == 'number' and number >= 0 and number <= most and number % 1 == 0
end

local function are_words(list)
  if type(list) ~= 'table' or #list == 0 then
    return false
  end
  for _, word in ipairs(list) do
    if type(word) ~= 'string' or word == '' then
      return false
    end
  end

  return true
end

-- What only some jobs have, as a table, or nil and what is wrong with it.
local function read_extras(text)
  local ok, extras = pcall(cjson.decode, text)
  if not ok or type(extras) ~= 'table' then
    return nil, 'extras must be a JSON object'
  end
  for _, name in ipairs({ 'run_at', 'expires_at', 'dedup_ttl_ms' }) do
    if extras[name] ~= nil and not is_whole(extras[name], MAX_TIME_MS) then
      return nil, name .. ' must be whole milliseconds'
    end
  end
  for _, name in ipairs({ 'group', 'dedup' }) do
    local word = extras[name]
    if word ~= nil and (type(word) ~= 'string' or word == '' or string.find(word, '%c')) then
      return nil, name .. ' must be a text that is not empty and has no control characters'
    end
  end
  if extras.tags ~= nil and not are_words(extras.tags) then
    return nil, 'tags must be a list of texts that are not empty'
  end
  -- it is for Series to say
  extras.repeat_key = nil

  return extras
end

-- The extras of a job that may be born (nil for most jobs), and what is wrong with it if it may not.
function Birth.check(priority, delay_ms, extras)
  if not is_whole(tonumber(priority), MAX_PRIORITY) then
    return nil, 'priority must be a whole number from 0 to 2^31'
  end
  if not is_whole(tonumber(delay_ms), MAX_DELAY_MS) then
    return nil, 'delay_ms must be a whole number from 0 to 100 years'
  end
  if extras ~= '' then
    return read_extras(extras)
  end
end

-- `extras` is a table: lifo, run_at, expires_at, group, dedup, dedup_ttl_ms, tags, repeat_key; nil
-- for most jobs. The answer is when the job is due, nil if it may start at once.
function Birth.job(now, id, number, name, data, opts, priority, delay, extras)
  local place = Move.place(number, extras and extras.lifo)
  local fields = { 'name', name, 'created', Clock.text(now), 'place', place }
  Pieces.put(fields, data)
  local due = delay > 0 and now + delay or nil

  local function field(key, value)
    fields[#fields + 1] = key
    fields[#fields + 1] = value
  end
  if opts ~= '' then
    field('opts', opts)
  end
  if priority ~= '0' then
    field('priority', priority)
  end
  if extras then
    local special = false
    if extras.run_at and extras.run_at > now then
      due = extras.run_at
    end
    if extras.repeat_key then
      field('repeat', extras.repeat_key)
    end
    if extras.group then
      field('group', extras.group)
      special = true
    end
    if extras.expires_at then
      local expires = Clock.text(extras.expires_at)
      field('expires', expires)
      redis.call('ZADD', Keys.expiry, expires, 'x' .. id)
      special = true
    end
    if extras.dedup then
      field('dedup', extras.dedup)
      if extras.dedup_ttl_ms then
        local left = extras.dedup_ttl_ms + (due and due - now or 0)
        field('dedup_ttl', Clock.text(extras.dedup_ttl_ms))
        redis.call('SET', Keys.dedup(extras.dedup), id, 'PX', Clock.text(left))
      else
        redis.call('SET', Keys.dedup(extras.dedup), id)
      end
      special = true
    end
    if extras.tags then
      field('tags', cjson.encode(extras.tags))
      for _, tag in ipairs(extras.tags) do
        redis.call('SADD', Keys.tag(tag), id)
      end
      special = true
    end
    -- so that the many without any of these cost no look for them
    if special then
      field('extra', '1')
    end
  end

  Move.create(id, place, priority, due, fields)
  if due then
    Events.emit('delayed', id)
  else
    Events.emit('waiting', id)
  end

  return due
end

-- series: repeatable jobs: each series has one outstanding occurrence, a delayed job
-- include: keys
-- include: clock
-- include: events
-- include: birth
-- include: tally
-- include: move
local Series = {}

-- The id of an occurrence: one job only, whoever makes it.
function Series.id(key, ms)
  return 'repeat:' .. string.sub(redis.sha1hex(key), 1, 16) .. ':' .. Clock.text(ms)
end

-- What the jobs of a series are made of, or nil.
function Series.read(key)
  local f = redis.call('HMGET', Keys.one_series(key), 'name', 'data', 'opts', 'priority', 'extras', 'made',
    'rule')
  if not f[1] then
    return nil
  end
  local extras = f[5] ~= '' and cjson.decode(f[5]) or {}
  extras.repeat_key = key

  return { name = f[1], data = f[2], opts = f[3], priority = f[4], extras = extras, made = tonumber(f[6]),
    limit = tonumber(string.match(f[7] or '', '"limit":(%d+)')) or math.huge }
end

-- One occurrence, due at `ms`; nothing if there is such a job already. The answer is its id, or nil.
function Series.make(key, spec, ms, now)
  local id = Series.id(key, ms)
  if redis.call('EXISTS', Keys.job(id)) == 1 then
    Events.emit('duplicated', id)
    return nil
  end
  -- one that was removed while it ran had this id: the new one is not to be stopped
  redis.call('HDEL', Keys.cancelling, id)
  local number = Move.numbers('seq', 1)
  Birth.job(now, id, number, spec.name, spec.data, spec.opts, spec.priority, math.max(0, ms - now), spec.extras)
  Tally.total('added')

  return id
end

-- The outstanding occurrence goes, unless it was tried already; true if it went.
function Series.drop(key, ms)
  local job = Move.read(Series.id(key, ms))
  if not job or (job.state ~= 'delayed' and job.state ~= 'waiting') then
    return false
  end
  local f = redis.call('HMGET', Keys.job(job.id), 'attempts', 'stalls')
  if f[1] or f[2] then
    return false
  end
  Move.remove(job, job.state)
  Move.call_another(job)
  Events.emit('removed', job.id)

  return true
end

-- indexes: what follows a job from state to state: counters, dates, its dedup key, its tags
-- include: keys
-- include: sets
-- include: tally
local Indexes = {}

-- states in which a job waits for its start
Indexes.UNSTARTED = { waiting = true, delayed = true }

-- A job leaves a state.
function Indexes.leave(job, from)
  if from == 'active' then
    if job.group then
      Tally.add(Keys.groups, job.group, -1)
    end
    if job.cancel then
      redis.call('HDEL', Keys.cancelling, job.id)
    end
  elseif from == 'failed' then
    Tally.add(Keys.kinds, redis.call('HGET', Keys.job(job.id), 'kind') or '?', -1)
  elseif from == 'completed' then
    -- its value is not waited for any more; another job may have its id one day
    Sets.drop('expiry', 'r' .. job.id)
  end
end

-- A job that must be started in time is looked for as long as it was not.
local function watch(job, from, to)
  local was, is = Indexes.UNSTARTED[from], Indexes.UNSTARTED[to]
  if was and not is then
    Sets.drop('expiry', 'x' .. job.id)
  elseif is and not was then
    Sets.add('expiry', job.expires, 'x' .. job.id)
  end
end

-- A job that has left its state comes into another; `kind` is how it failed, if it did.
function Indexes.change(job, from, to, kind)
  if to == 'active' and job.group then
    Tally.add(Keys.groups, job.group, 1)
  elseif to == 'failed' then
    Tally.add(Keys.kinds, kind, 1)
  end
  if job.expires then
    watch(job, from, to)
  end
end

-- Another job may be added under the key of this one.
function Indexes.release_dedup(job)
  if not job.dedup or job.dedup_ttl then
    return
  end
  local key = Keys.dedup(job.dedup)
  if redis.call('GET', key) == job.id then
    redis.call('UNLINK', key)
  end
end

-- A job that has left its state is gone.
function Indexes.remove(job, from)
  if job.expires then
    watch(job, from)
  end
  Indexes.release_dedup(job)
  if job.tags then
    for _, tag in ipairs(cjson.decode(job.tags)) do
      redis.call('SREM', Keys.tag(tag), job.id)
    end
  end
end

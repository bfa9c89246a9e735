-- due: what time alone brings: delayed jobs become waiting, jobs expire, values go
-- include: keys
-- include: clock
-- include: events
-- include: gate
-- include: history
-- include: tally
-- include: move
local Due = {}

-- most jobs moved by one call, so that no script runs long
Due.MOST = 1000
local MOST_EXPIRED = 100
local MOST_GROUPS = 100
-- nobody is woken more often than this to see jobs expire
local EXPIRY_EVERY_MS = 250

function Due.promote(now, most)
  local due = Move.due(now, most)
  for _, job in ipairs(due) do
    local f = redis.call('HMGET', Keys.job(job.id), 'name', 'priority')
    if f[1] then
      Move.change(job, 'delayed', 'waiting', Move.rank(f[2]), {})
      Events.emit('waiting', job.id)
    else
      -- the job's hash is gone (evicted, or deleted by hand): it must not come to half a life
      Move.forget(job.place .. job.id, 'delayed')
    end
  end
  if #due > 0 then
    Move.flush()
  end

  return #due
end

-- A job that was not started in time fails.
function Due.expire(job, state, now, popped)
  local text = Clock.text(now)
  History.keep(job.id, History.MOST)
  Move.change(job, state, 'failed', text, {
    'kind', 'expired', 'finished', text, 'failure', cjson.encode({
      kind = 'expired',
      message = 'the job was not started before ' .. job.expires .. ' ms since 1970, as its '
        .. 'expires_at asks. More children, or a later time, would have helped',
    }),
  }, popped)
  Tally.ended('failed', now)
  Tally.total('kind:expired')
  Events.emit('failed', job.id, 'kind', 'expired')
end

-- Members of expiry are 'x' and the id of a job that must start before then, or 'r' and the id
-- of a completed job whose value is kept until then. A job that has moved on is left alone.
function Due.sweep(now)
  local due = redis.call('ZRANGEBYSCORE', Keys.expiry, '-inf', Clock.text(now), 'LIMIT', 0, MOST_EXPIRED)
  for _, member in ipairs(due) do
    local job = Move.read(string.sub(member, 2))
    if job and string.sub(member, 1, 1) == 'r' then
      if job.state == 'completed' then
        Move.remove(job, 'completed')
        Events.emit('removed', job.id)
      end
    elseif job and (job.state == 'waiting' or job.state == 'delayed') and job.expires then
      Due.expire(job, job.state, now)
    end
    Move.forget(member, 'expiry')
  end
  if #due > 0 then
    Move.flush()
  end
end

-- Parked jobs that wait for the window of their group are called when it ends.
function Due.call_later(now, group)
  redis.call('ZADD', Keys.windows, Clock.text(Gate.window(now, group).ends), group)
end

-- As many parked jobs of a group come back as may start; those that only the rate keeps aside
-- wait for the window after this one. The answer is how many came back.
function Due.call_back(now, group)
  local room, without_rate = Gate.group_room(now, group)
  local back, are_more = Move.unpark(group, math.max(0, math.min(room, Due.MOST)))
  if are_more and without_rate > room then
    Due.call_later(now, group)
  else
    Move.forget(group, 'windows')
  end

  return back
end

-- Groups whose window has ended.
function Due.windows(now)
  local groups = redis.call('ZRANGEBYSCORE', Keys.windows, '-inf', Clock.text(now), 'LIMIT', 0, MOST_GROUPS)
  for _, group in ipairs(groups) do
    Due.call_back(now, group)
  end
  if #groups > 0 then
    Move.flush()
  end
end

-- Whether time may bring more than delayed jobs; in most queues it does not, and is not asked.
local more = false

function Due.all(now)
  Due.promote(now, Due.MOST)
  more = redis.call('EXISTS', Keys.expiry, Keys.windows, Keys.series) > 0
  if more then
    Due.sweep(now)
  end
  if more and Gate.settings().rate_group then
    Due.windows(now)
  end
end

local function head(key)
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')

  return first[2] and tonumber(first[2])
end

-- When a claim will find something that it does not find now, or -1.
function Due.next(now)
  local soonest = head(Keys.delayed) or math.huge
  local expiry = more and head(Keys.expiry)
  if expiry then
    soonest = math.min(soonest, math.max(expiry, now + EXPIRY_EVERY_MS))
  end
  if Gate.settings().rate_group then
    soonest = math.min(soonest, head(Keys.windows) or math.huge)
  end

  return soonest == math.huge and -1 or soonest
end

-- When the next occurrence of a series is due, or -1.
function Due.next_fire()
  return more and head(Keys.series) or -1
end

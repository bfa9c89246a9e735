-- settle: the verdict on one attempt is written, if its token still holds the job
-- include: keys
-- include: clock
-- include: events
-- include: wake
-- include: move
local Settle = {}

local ACTIONS = { complete = true, retry = true, fail = true, release = true }

-- Errors must come before the first write: a script is not rolled back.
function Settle.check(action, delay)
  if not ACTIONS[action] then
    return redis.error_reply('SANDQ_INVALID no such action: ' .. action)
  end
  if not tonumber(delay) or tonumber(delay) < 0 then
    return redis.error_reply('SANDQ_INVALID delay must be milliseconds: ' .. delay)
  end
end

-- The job goes back: to waiting, or to delayed when it has to wait first.
local function go_back(now, id, job, delay, fields, new_place)
  if delay > 0 then
    local due = Clock.text(now + delay)
    Move.change(id, job.place, 'active', 'delayed', due, fields, false, new_place)
  else
    Move.change(id, job.place, 'active', 'waiting', Move.rank(job.priority), fields, false, new_place)
  end
  -- an idle supervisor must come back for it, at once or when it is due
  Wake.ring()
end

local DO = {}

function DO.complete(now, id, job, _, _, payload)
  Move.change(id, job.place, 'active', 'completed', now, { 'finished', now, 'value', payload })
  if job.attempts or job.stalls then
    redis.call('HDEL', Keys.job(id), 'stalls', 'failure')
  end
  Events.emit('completed', id)
end

function DO.fail(now, id, job, _, kind, payload)
  local attempts = (job.attempts or 0) + 1
  Move.change(id, job.place, 'active', 'failed', now, {
    'finished', now, 'failure', payload, 'attempts', attempts,
  })
  Events.emit('failed', id, 'kind', kind, 'attempts', attempts)
end

function DO.retry(now, id, job, delay, kind, payload)
  local attempts = (job.attempts or 0) + 1
  local place = Move.place(Move.numbers('seq', 1), Move.is_lifo(job.place))
  go_back(tonumber(now), id, job, delay, { 'failure', payload, 'attempts', attempts }, place)
  Events.emit('retry-scheduled', id, 'kind', kind, 'attempts', attempts, 'delay_ms', delay)
end

function DO.release(now, id, job, delay)
  go_back(tonumber(now), id, job, delay, {})
  Events.emit('released', id, 'delay_ms', delay)
end

-- 'ok'; 'done' when this very claim is settled already (its reply was lost); 'lost' when the
-- job is no longer this claim's; 'missing' when there is no such job.
function Settle.one(now, id, token, action, delay, kind, payload)
  local f = redis.call('HMGET', Keys.job(id), 'token', 'state', 'place', 'priority', 'attempts', 'stalls')
  if not f[3] then
    return 'missing'
  end
  if f[1] ~= token then
    return 'lost'
  end
  if f[2] ~= 'active' then
    return 'done'
  end

  local job = { place = f[3], priority = f[4], attempts = f[5], stalls = f[6] }
  DO[action](now, id, job, tonumber(delay), kind, payload)

  return 'ok'
end

-- The settlements in ARGV from `first` on, six values each; the answer is a list of statuses,
-- or an error reply.
function Settle.all(now, first)
  for i = first, #ARGV, 6 do
    local refused = Settle.check(ARGV[i + 2], ARGV[i + 3])
    if refused then
      return refused
    end
  end

  local statuses = {}
  local text = Clock.text(now)
  for i = first, #ARGV, 6 do
    statuses[#statuses + 1] = Settle.one(text, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3],
      ARGV[i + 4], ARGV[i + 5])
  end
  Move.flush()

  return statuses
end

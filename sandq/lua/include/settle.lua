-- settle: the verdict on one attempt is written, if its token still holds the job
-- include: keys
-- include: clock
-- include: events
-- include: wake
-- include: history
-- include: tally
-- include: move
local Settle = {}

-- values of one settlement
Settle.WIDTH = 7
-- the token of whoever settles a job without regard to its claim
local ANY_TOKEN = '*'
local ACTIONS = { complete = true, retry = true, fail = true, release = true, cancel = true }
-- failure records of earlier attempts kept with a job, unless it says otherwise
local FAILURES_KEPT = 10
-- a value that goes with its job is told in the event, up to this size
local MOST_TOLD = 65536
-- most jobs dropped by one call because newer ones are enough
local MOST_PRUNED = 1000

-- set -> what is kept of it, as the newest settlement says
local keeps = {}

-- Errors must come before the first write: a script is not rolled back.
function Settle.check(action, delay)
  if not ACTIONS[action] then
    return redis.error_reply('SANDQ_INVALID no such action: ' .. action)
  end
  if not tonumber(delay) or tonumber(delay) < 0 then
    return redis.error_reply('SANDQ_INVALID delay must be milliseconds: ' .. delay)
  end
end

-- 'count,age_ms,ttl_ms,history', each empty when nothing is said.
local function read_retain(text)
  local count, age, ttl, history = string.match(text, '^(%d*),(%d*),(%d*),(%d*)$')

  return { count = tonumber(count), age = tonumber(age), ttl = tonumber(ttl), history = tonumber(history) }
end

local NOTHING_SAID = {}

-- The job ends in a state; true if it is not kept there but gone at once.
local function finish(now, id, job, state, fields, retain)
  if retain.count == 0 then
    Move.remove(job, 'active')
    return true
  end
  Move.change(job, 'active', state, now, fields)
  if retain.count or retain.age then
    keeps[state] = retain
  end
  if retain.ttl and state == 'completed' then
    redis.call('ZADD', Keys.expiry, Clock.text(tonumber(now) + retain.ttl), 'r' .. id)
  end

  return false
end

-- The job goes back: to waiting, or to delayed when it has to wait first.
local function go_back(now, job, delay, fields, new_place)
  if delay > 0 then
    local due = Clock.text(now + delay)
    Move.change(job, 'active', 'delayed', due, fields, false, new_place)
  else
    Move.change(job, 'active', 'waiting', Move.rank(job.priority), fields, false, new_place)
  end
  -- an idle supervisor must come back for it, at once or when it is due
  Wake.ring()
end

-- The record of the attempt before this one is kept beside that of this one.
local function remember(id, job, retain)
  if job.attempts then
    History.keep(id, retain.history or FAILURES_KEPT)
  end
end

local DO = {}

-- `sandbox`: the mechanisms that it ran under, if it had any
function DO.complete(now, id, job, _, sandbox, payload, retain)
  local fields = { 'finished', now, 'value', payload }
  if sandbox ~= '' then
    fields[5], fields[6] = 'sandbox', sandbox
  end
  local gone = finish(now, id, job, 'completed', fields, retain)
  if not gone and (job.attempts or job.stalls or job.cancel) then
    if job.attempts then
      History.keep(id, History.MOST)
    end
    redis.call('HDEL', Keys.job(id), 'stalls', 'failure', 'cancel')
  end
  Tally.ended('completed', tonumber(now))
  if gone and #payload <= MOST_TOLD then
    Events.emit('completed', id, 'value', payload)
  else
    Events.emit('completed', id)
  end
end

function DO.cancel(now, id, job, _, _, _, retain)
  local reason = job.cancel or 'cancelled by its handler'
  local record = cjson.encode({ kind = 'cancelled', message = reason })
  if job.attempts then
    History.keep(id, History.MOST)
  end
  finish(now, id, job, 'cancelled', { 'finished', now, 'failure', record, 'cancel', reason }, retain)
  Tally.total('cancelled')
  Events.emit('cancelled', id, 'reason', reason)
end

function DO.fail(now, id, job, _, kind, payload, retain)
  local attempts = (job.attempts or 0) + 1
  remember(id, job, retain)
  local gone = finish(now, id, job, 'failed', {
    'kind', kind, 'finished', now, 'failure', payload, 'attempts', attempts,
  }, retain)
  Tally.ended('failed', tonumber(now))
  Tally.total('kind:' .. kind)
  if gone and #payload <= MOST_TOLD then
    Events.emit('failed', id, 'kind', kind, 'attempts', attempts, 'failure', payload)
  else
    Events.emit('failed', id, 'kind', kind, 'attempts', attempts)
  end
end

function DO.retry(now, id, job, delay, kind, payload, retain)
  local attempts = (job.attempts or 0) + 1
  remember(id, job, retain)
  go_back(tonumber(now), job, delay, { 'failure', payload, 'attempts', attempts }, Move.new_place(job))
  Tally.total('retried')
  Events.emit('retry-scheduled', id, 'kind', kind, 'attempts', attempts, 'delay_ms', delay)
end

function DO.release(now, id, job, delay)
  go_back(tonumber(now), job, delay, {})
  Tally.total('released')
  Events.emit('released', id, 'delay_ms', delay)
end

-- What is done in the end: a job that is being cancelled goes nowhere else, unless it has
-- completed meanwhile; one whose retries were discarded is not tried again.
local function decide(action, job)
  if job.cancel and action ~= 'complete' then
    return 'cancel'
  end
  if job.discard and action == 'retry' then
    return 'fail'
  end

  return action
end

-- 'ok'; 'done' when this very claim is settled already (its reply was lost); 'lost' when the
-- job is no longer this claim's; 'missing' when there is no such job.
local function one(now, id, token, action, delay, kind, payload, retain)
  local f = redis.call('HMGET', Keys.job(id), 'token', 'state', 'place', 'priority', 'attempts',
    'stalls', 'extra')
  if not f[3] then
    redis.call('HDEL', Keys.cancelling, id)
    return 'missing'
  end
  if f[1] ~= token and token ~= ANY_TOKEN then
    return 'lost'
  end
  if f[2] ~= 'active' then
    return 'done'
  end

  local job = { id = id, place = f[3], priority = f[4], attempts = f[5], stalls = f[6] }
  if f[7] then
    Move.extend(job)
  end
  local kept = retain == '' and NOTHING_SAID or read_retain(retain)
  DO[decide(action, job)](now, id, job, tonumber(delay), kind, payload, kept)

  return 'ok'
end

-- Newer jobs are enough: what is older than a keep policy says, or more, goes.
local function drop_old(now)
  for state, keep in pairs(keeps) do
    local key = Keys[state]
    local ids = {}
    if keep.age then
      ids = redis.call('ZRANGEBYSCORE', key, '-inf', Clock.text(now - keep.age), 'LIMIT', 0, MOST_PRUNED)
    end
    local excess = keep.count and math.min(redis.call('ZCARD', key) - keep.count, MOST_PRUNED) or 0
    if excess > #ids then
      ids = redis.call('ZRANGE', key, 0, excess - 1)
    end
    for _, id in ipairs(ids) do
      local job = Move.read(id)
      if job then
        Move.remove(job, state)
      else
        Move.forget(id, state)
      end
    end
  end
  Move.flush()
end

-- The settlements in ARGV from `first` on; the answer is a list of statuses, or an error reply.
function Settle.all(now, first)
  for i = first, #ARGV, Settle.WIDTH do
    local refused = Settle.check(ARGV[i + 2], ARGV[i + 3])
    if refused then
      return refused
    end
  end

  local statuses = {}
  local text = Clock.text(now)
  for i = first, #ARGV, Settle.WIDTH do
    statuses[#statuses + 1] = one(text, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3],
      ARGV[i + 4], ARGV[i + 5], ARGV[i + 6])
  end
  Move.flush()
  if next(keeps) then
    drop_old(now)
  end

  return statuses
end

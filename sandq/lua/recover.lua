-- recover: jobs whose lease has ended go back to their place, or fail after too many stalls
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, most, max_stalls
-- REPLY   a list of {id, 'waiting', 'failed' or 'cancelled', the worker that vanished}
-- ERRORS  none
-- EVENTS  stalled, waiting, failed, cancelled
-- include: keys
-- include: clock
-- include: events
-- include: history
-- include: wake
-- include: tally
-- include: move
local at = Clock.now(ARGV[1])
local now = Clock.text(at)
local max_stalls = tonumber(ARGV[3])
local reply = {}

local function fail(job, stalls, worker, attempts)
  Move.change(job, 'active', 'failed', now, {
    'kind', 'stalled', 'stalls', stalls, 'token', '', 'finished', now, 'failure', cjson.encode({
      kind = 'stalled',
      message = 'the supervisor vanished with the job ' .. stalls .. ' times, last ' .. worker
        .. '; at most ' .. max_stalls .. ' are allowed. Look there for a crash or a lost machine',
    }),
  })
  Tally.ended('failed', at)
  Tally.total('kind:stalled')
  Events.emit('failed', job.id, 'kind', 'stalled', 'attempts', attempts)
end

local function cancel(job, stalls)
  local record = cjson.encode({ kind = 'cancelled', message = job.cancel })
  Move.change(job, 'active', 'cancelled', now, {
    'stalls', stalls, 'token', '', 'finished', now, 'failure', record,
  })
  Tally.total('cancelled')
  Events.emit('cancelled', job.id, 'reason', job.cancel)
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', Keys.active, '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local job = Move.read(id)
  if not job then
    -- the job's hash is gone (evicted, or deleted by hand): nothing is left to recover
    Move.forget(id, 'active')
  else
    local f = redis.call('HMGET', Keys.job(id), 'stalls', 'worker', 'attempts')
    local stalls, worker = (f[1] or 0) + 1, f[2] or '?'
    local state = 'waiting'
    Tally.total('stalled')
    Events.emit('stalled', id, 'worker', worker, 'stalls', stalls)
    -- the empty token is nobody's: a late answer of the vanished supervisor is refused
    if f[3] and (job.cancel or stalls > max_stalls) then
      History.keep(id, History.MOST)
    end
    if job.cancel then
      state = 'cancelled'
      cancel(job, stalls)
    elseif stalls > max_stalls then
      state = 'failed'
      fail(job, stalls, worker, f[3] or 0)
    else
      Move.change(job, 'active', 'waiting', Move.rank(job.priority), { 'stalls', stalls, 'token', '' })
      Events.emit('waiting', id)
    end
    reply[#reply + 1] = { id, state, worker }
  end
end
Move.flush()
if #reply > 0 then
  Wake.ring()
end

return reply

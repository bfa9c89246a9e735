-- recover: jobs whose lease has ended go back to their place, or fail after too many stalls
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, most, max_stalls
-- REPLY   a list of {id, 'waiting' or 'failed', the worker that vanished}
-- ERRORS  none
-- EVENTS  stalled, waiting, failed
-- include: keys
-- include: clock
-- include: events
-- include: wake
-- include: move
local now = Clock.text(Clock.now(ARGV[1]))
local max_stalls = tonumber(ARGV[3])
local reply = {}

for _, id in ipairs(redis.call('ZRANGEBYSCORE', Keys.active, '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local f = redis.call('HMGET', Keys.job(id), 'place', 'priority', 'stalls', 'worker', 'attempts')
  if not f[1] then
    -- the job's hash is gone (evicted, or deleted by hand): nothing is left to recover
    Move.forget(id, 'active')
  else
    local stalls, worker = (f[3] or 0) + 1, f[4] or '?'
    Events.emit('stalled', id, 'worker', worker, 'stalls', stalls)
    -- the empty token is nobody's: a late answer of the vanished supervisor is refused
    if stalls > max_stalls then
      Move.change(id, f[1], 'active', 'failed', now, {
        'stalls', stalls, 'token', '', 'finished', now, 'failure', cjson.encode({
          kind = 'stalled',
          message = 'the supervisor vanished with the job ' .. stalls .. ' times, last ' .. worker
            .. '; at most ' .. max_stalls .. ' are allowed. Look there for a crash or a lost machine',
        }),
      })
      Events.emit('failed', id, 'kind', 'stalled', 'attempts', f[5] or 0)
      reply[#reply + 1] = { id, 'failed', worker }
    else
      Move.change(id, f[1], 'active', 'waiting', Move.rank(f[2]), { 'stalls', stalls, 'token', '' })
      Events.emit('waiting', id)
      reply[#reply + 1] = { id, 'waiting', worker }
    end
  end
end
Move.flush()
if #reply > 0 then
  Wake.ring()
end

return reply

-- claim_next: the next waiting jobs become active under a token
-- include: keys
-- include: clock
-- include: events
-- include: wake
-- include: due
-- include: move
local ClaimNext = {}

-- {now, lease end, next due or -1, jobs left waiting, job, ...}; a job is
-- {id, name, data, opts, attempts, stalls, priority, created}.
function ClaimNext.take(now, n, token, worker, lease_ms)
  local lease_end = Clock.text(now + lease_ms)
  local reply = { Clock.text(now), lease_end, -1, 0 }

  Due.promote(now, Due.MOST)
  if n > 0 and not redis.call('HGET', Keys.meta, 'paused') then
    local started = reply[1]
    for _, job in ipairs(Move.pop(n)) do
      local f = redis.call('HMGET', Keys.job(job.id), 'name', 'data', 'opts', 'attempts',
        'stalls', 'priority', 'created', 'claims')
      -- a job whose hash is gone (evicted, or deleted by hand) is dropped: there is nothing to run
      if f[1] then
        Move.change(job.id, job.place, 'waiting', 'active', lease_end, {
          'token', token, 'worker', worker, 'started', started, 'claims', (f[8] or 0) + 1,
        }, true)
        Events.emit('active', job.id, 'worker', worker)
        reply[#reply + 1] = {
          job.id, f[1], f[2], f[3] or '', f[4] or '0', f[5] or '0', f[6] or '0', f[7],
        }
      end
    end
    Move.flush()
    reply[4] = redis.call('ZCARD', Keys.waiting)
    -- others may be idle while work is left: pass the bell on
    if reply[4] > 0 then
      Wake.ring()
    end
  end
  reply[3] = Clock.text(Due.next())

  return reply
end

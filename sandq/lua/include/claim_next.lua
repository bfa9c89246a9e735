-- claim_next: the next waiting jobs become active under a token
-- include: keys
-- include: clock
-- include: events
-- include: pieces
-- include: wake
-- include: gate
-- include: due
-- include: move
local ClaimNext = {}

-- most jobs looked at by one call: those whose group has no room are passed over
local MOST_SEEN = 1000

-- whether jobs were delayed because a window is full
local some_put_off = false

local function put_off(now, job, group)
  local due = Clock.text(Gate.later(now, group))
  Move.change(job, 'waiting', 'delayed', due, { 'put_off', due }, true)
  Events.emit('rate-limited', job.id, 'until', due)
  some_put_off = true
end

-- A job of a group, or one that expires: true if it may start now. If not, it has moved.
local function may_start(now, job)
  if job.expires and tonumber(job.expires) <= now then
    Due.expire(job, 'waiting', now, true)
    return false
  end
  if not job.group then
    return true
  end

  local room, without_rate = Gate.group_room(now, job.group)
  if room > 0 then
    return true
  end
  local set = Gate.settings()
  if without_rate > 0 and not set.bounces then
    put_off(now, job, job.group)
    return false
  end
  if without_rate > 0 then
    Due.call_later(now, job.group)
  end
  Move.park(job)

  return false
end

-- The queue's window is full: what the children were free for waits for the next one.
local function delay_excess(now, n)
  if n <= 0 then
    return
  end
  for _, job in ipairs(Move.pop(n)) do
    if redis.call('EXISTS', Keys.job(job.id)) == 1 then
      put_off(now, job)
    end
  end
end

-- {now, lease end, next due or -1, jobs left waiting, next fire or -1, job, ...}; a job is
-- {id, name, data, opts, attempts, stalls, priority, created}.
function ClaimNext.take(now, n, token, worker, lease_ms)
  local started = Clock.text(now)
  local lease_end = Clock.text(now + lease_ms)
  local reply = { started, lease_end, -1, 0, -1 }

  Due.all(now)
  local room, without_rate = Gate.room(now)
  local wanted, seen, taken = math.min(n, room), 0, 0
  while taken < wanted and seen < MOST_SEEN do
    local popped = Move.pop(wanted - taken)
    if #popped == 0 then
      break
    end
    seen = seen + #popped
    for _, job in ipairs(popped) do
      local f = redis.call('HMGET', Keys.job(job.id), 'name', 'data', 'opts', 'attempts', 'stalls',
        'priority', 'created', 'claims', 'extra')
      job.priority = f[6]
      if f[9] then
        Move.extend(job)
      end
      -- a job whose hash is gone (evicted, or deleted by hand) is dropped: there is nothing to run
      if f[1] and (not job.extra or may_start(now, job)) then
        Move.change(job, 'waiting', 'active', lease_end, {
          'token', token, 'worker', worker, 'started', started, 'claims', (f[8] or 0) + 1,
        }, true)
        Gate.started(now, job.group)
        Events.emit('active', job.id, 'worker', worker)
        taken = taken + 1
        reply[#reply + 1] = {
          job.id, f[1], Pieces.get(job.id, f[2]), f[3] or '', f[4] or '0', f[5] or '0', f[6] or '0', f[7],
        }
      end
    end
  end
  local set = Gate.settings()
  local window = set.rate_max and not set.rate_group and Gate.window(now)
  local full = window and window.used >= set.rate_max
  if full and not set.bounces then
    delay_excess(now, math.min(n, without_rate) - taken)
  end
  Gate.flush()
  Move.flush()

  local left = redis.call('ZCARD', Keys.waiting)
  reply[3] = Due.next(now)
  if full and left > 0 then
    reply[3] = reply[3] == -1 and window.ends or math.min(reply[3], window.ends)
  end
  reply[3] = Clock.text(reply[3])
  reply[4] = left
  reply[5] = Clock.text(Due.next_fire())
  -- others may be idle while work is left that may start: pass the bell on
  if left > 0 and room > taken then
    Wake.ring()
  elseif left == 0 and taken > 0 and not some_put_off and redis.call('ZCARD', Keys.parked) == 0 then
    Events.emit('drained', '')
  end

  return reply
end

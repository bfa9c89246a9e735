-- cancel: jobs are called off; one that runs is stopped by its supervisor
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, reason, then for each job: id
-- REPLY   for each job: cancelled, cancelling, missing, or the state in which it has ended
-- ERRORS  none
-- EVENTS  cancelled, cancelling
-- include: keys
-- include: clock
-- include: events
-- include: history
-- include: states
-- include: tally
-- include: move
local now = Clock.text(Clock.now(ARGV[1]))
local reason = ARGV[2]
local record = cjson.encode({ kind = 'cancelled', message = reason })
local reply = {}

for i = 3, #ARGV do
  local id = ARGV[i]
  local job = Move.read(id)
  if not job then
    reply[#reply + 1] = 'missing'
  elseif job.state == 'active' then
    -- the truth is here; supervisors look at the list of what they are to stop
    if not job.cancel then
      redis.call('HSET', Keys.job(id), 'cancel', reason, 'extra', '1')
      redis.call('HSET', Keys.cancelling, id, now .. ' ' .. reason)
      Events.emit('cancelling', id, 'reason', reason)
    end
    reply[#reply + 1] = 'cancelling'
  elseif States.legal[job.state].cancelled then
    History.keep(id, History.MOST)
    Move.change(job, job.state, 'cancelled', now, {
      'finished', now, 'failure', record, 'cancel', reason, 'extra', '1',
    })
    Tally.total('cancelled')
    Events.emit('cancelled', id, 'reason', reason)
    reply[#reply + 1] = 'cancelled'
  else
    reply[#reply + 1] = job.state
  end
end
Move.flush()

return reply

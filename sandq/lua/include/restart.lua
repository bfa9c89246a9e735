-- restart: a job that has ended waits again, at the back of its rank
-- include: keys
-- include: clock
-- include: events
-- include: history
-- include: wake
-- include: tally
-- include: move
local Restart = {}

-- What the last run left behind goes; the attempts stay, unless they are to be counted anew.
function Restart.job(job, now, reset)
  local key = Keys.job(job.id)
  if job.state == 'failed' and not reset then
    History.keep(job.id, History.MOST)
  end
  redis.call('HDEL', key, 'started', 'finished', 'value', 'failure', 'kind', 'stalls', 'cancel',
    'discard', 'progress', 'expires', 'due', 'worker', 'sandbox')
  if reset then
    redis.call('HDEL', key, 'attempts')
    redis.call('UNLINK', Keys.failures(job.id))
  end
  if job.dedup and not job.dedup_ttl then
    redis.call('SET', Keys.dedup(job.dedup), job.id, 'NX')
  end
  Tally.total('restarted')
  Events.emit('waiting', job.id)
end

function Restart.all(jobs, now, reset)
  local text = Clock.text(now)
  for _, job in ipairs(jobs) do
    -- it was asked for now, whatever was asked for then
    job.expires = nil
    -- the change comes first: it reads what the run left behind
    Move.change(job, job.state, 'waiting', Move.rank(job.priority), { 'retried', text }, false,
      Move.new_place(job))
    Restart.job(job, now, reset)
  end
  Move.flush()
  if #jobs > 0 then
    Wake.ring()
  end
end

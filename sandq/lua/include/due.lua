-- due: delayed jobs whose time has come go to waiting, at the place they always had
-- include: keys
-- include: events
-- include: move
local Due = {}

-- most jobs promoted by one call, so that no script runs long
Due.MOST = 1000

function Due.promote(now, most)
  local due = Move.due(now, most)
  for _, job in ipairs(due) do
    local f = redis.call('HMGET', Keys.job(job.id), 'name', 'priority')
    if f[1] then
      Move.change(job.id, job.place, 'delayed', 'waiting', Move.rank(f[2]), {})
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

-- When the next delayed job is due, or -1.
function Due.next()
  local first = redis.call('ZRANGE', Keys.delayed, 0, 0, 'WITHSCORES')

  return first[2] and tonumber(first[2]) or -1
end

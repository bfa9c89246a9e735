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
    local priority = redis.call('HGET', Keys.job(job.id), 'priority')
    Move.change(job.id, job.place, 'delayed', 'waiting', Move.rank(priority), {})
    Events.emit('waiting', job.id)
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

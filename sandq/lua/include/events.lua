-- events: one entry of the queue's stream per change of a job
-- include: keys
local Events = {}

-- enough to follow a queue through a lost connection; older entries are trimmed
local KEPT = 10000

function Events.emit(kind, id, ...)
  redis.call('XADD', Keys.events, 'MAXLEN', '~', KEPT, '*', 'e', kind, 'id', id, ...)
end

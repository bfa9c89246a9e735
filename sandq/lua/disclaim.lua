-- disclaim: give back what claims took whose replies were lost on the way
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, then for each lost claim: token
-- REPLY   the ids of the jobs that went back to their place, or were to be cancelled and are
-- ERRORS  none
-- EVENTS  released, cancelled
-- include: keys
-- include: clock
-- include: events
-- include: history
-- include: wake
-- include: tally
-- include: move
local tokens = {}
for i = 2, #ARGV do
  tokens[ARGV[i]] = true
end

local now = Clock.text(Clock.now(ARGV[1]))
local ids = {}

local function give_back(job)
  Move.change(job, 'active', 'waiting', Move.rank(job.priority), { 'token', '' })
  Tally.total('released')
  Events.emit('released', job.id, 'delay_ms', 0)
end

-- Nobody runs it, so nobody has to be asked to stop.
local function cancel(job)
  local record = cjson.encode({ kind = 'cancelled', message = job.cancel })
  History.keep(job.id, History.MOST)
  Move.change(job, 'active', 'cancelled', now, { 'token', '', 'finished', now, 'failure', record })
  Tally.total('cancelled')
  Events.emit('cancelled', job.id, 'reason', job.cancel)
end

for _, id in ipairs(redis.call('ZRANGE', Keys.active, 0, -1)) do
  local token = redis.call('HGET', Keys.job(id), 'token')
  if token and tokens[token] then
    local job = Move.read(id)
    if job.cancel then
      cancel(job)
    else
      give_back(job)
    end
    ids[#ids + 1] = id
  end
end
Move.flush()
if #ids > 0 then
  Wake.ring()
end

return ids

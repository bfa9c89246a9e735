-- clean: jobs of a state that are older than so much go
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, state (or parked), grace_ms, begin (how many to pass over), looked_at (most jobs looked
--         at), removals (most jobs removed)
-- REPLY   where to go on, -1 at the end; then the ids of the jobs that are gone
-- ERRORS  SANDQ_INVALID
-- EVENTS  cleaned
-- include: keys
-- include: clock
-- include: states
-- include: events
-- include: wake
-- include: move
local state, begin, most, removals = ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if not States.legal[state] and state ~= 'parked' then
  return redis.error_reply('SANDQ_INVALID no such state: ' .. state)
end

local now = Clock.now(ARGV[1])
local before = now - tonumber(ARGV[3])
local members
if state == 'completed' or state == 'failed' or state == 'cancelled' then
  -- in the order of their end, so only those that are old are looked at
  members = redis.call('ZRANGEBYSCORE', Keys[state], '-inf', Clock.text(before), 'LIMIT', begin, most)
else
  members = redis.call('ZRANGE', Keys[state], begin, begin + most - 1)
end
local reply = { -1 }

-- Its age is since it ended, else since it was started last, else since it was added (seed 0).
local function is_old(id)
  local f = redis.call('HMGET', Keys.job(id), 'finished', 'started', 'created')

  return tonumber(f[1] or f[2] or f[3] or 0) <= before
end

local seen = 0
for _, member in ipairs(members) do
  if #reply > removals then
    break
  end
  seen = seen + 1
  local id = member
  if state == 'parked' then
    id = Move.parked_id(member)
  elseif state == 'waiting' or state == 'delayed' then
    id = Move.placed_id(member)
  end
  local job = is_old(id) and Move.read(id)
  -- a job that is being run is its supervisor's until its lease ends
  local held = state == 'active' and tonumber(redis.call('ZSCORE', Keys.active, id)) > now
  if job and not held then
    Move.remove(job, job.state)
    reply[#reply + 1] = id
  end
end
Move.flush()
if #reply > 1 then
  -- parked is a place of waiting jobs, and nobody's word
  local told = state == 'parked' and 'waiting' or state
  Events.emit('cleaned', '', 'state', told, 'count', #reply - 1)
  if state == 'active' then
    Wake.ring()
  end
end
if seen < #members or #members == most then
  -- those that are gone are counted no more
  reply[1] = begin + seen - (#reply - 1)
end

return reply

-- whereabouts: in which sets of states a job is, in which it should be, and how it gets there
-- include: keys
-- include: clock
-- include: states
-- include: events
-- include: wake
-- include: move
local Whereabouts = {}

local SETS = { 'waiting', 'parked', 'delayed', 'active', 'completed', 'failed', 'cancelled' }
local ENDED = { 'completed', 'failed', 'cancelled' }
-- a job that is found under a claim and in no set: whoever runs it renews this, else it is recovered
local LEASE_MS = 30000

-- The entry of a job in a set, nil where it can have none.
local function entry_of(job, set)
  if set == 'waiting' or set == 'delayed' then
    return job.place .. job.id
  elseif set == 'parked' then
    return job.group and Move.parked_member(job)
  end

  return job.id
end

local function look_in(job, set)
  local member = entry_of(job, set)
  local score = member and redis.call('ZSCORE', Keys[set], member)

  return score and { set = set, member = member, score = tonumber(score) } or nil
end

-- Parked jobs are waiting.
function Whereabouts.state(set)
  return set == 'parked' and 'waiting' or set
end

-- The id in a member of a set, nil if there is none.
function Whereabouts.id(set, member)
  local id = member
  if set == 'waiting' or set == 'delayed' then
    id = Move.placed_id(member)
  elseif set == 'parked' then
    id = string.find(member, '\0', 1, true) and Move.parked_id(member) or ''
  end

  return id ~= '' and id or nil
end

-- Whether a member is the one that its job should have there; a job that has another one besides
-- is met there as well.
function Whereabouts.is_right(set, member)
  local id = Whereabouts.id(set, member)
  local f = id and redis.call('HMGET', Keys.job(id), 'place', 'state', 'group', 'priority')
  if not f or not f[1] or (f[2] or 'waiting') ~= Whereabouts.state(set) then
    return false
  end
  local job = { id = id, place = f[1], group = f[3], priority = tonumber(f[4]) }

  return entry_of(job, set) == member and not (set == 'parked' and look_in(job, 'waiting'))
end

-- Where the job is, as a list; `set` and `member` are where it was met, if it was in a set.
function Whereabouts.all(job, set, member)
  local spots = {}
  if not set then
    local spot = States.legal[job.state] and look_in(job, job.state)
      or job.state == 'waiting' and look_in(job, 'parked')
    if spot then
      return { spot }
    end
  end
  for _, name in ipairs(SETS) do
    spots[#spots + 1] = look_in(job, name)
  end
  if set and member ~= entry_of(job, set) then
    local score = redis.call('ZSCORE', Keys[set], member)
    if score then
      spots[#spots + 1] = { set = set, member = member, score = tonumber(score), strange = true }
    end
  end

  return spots
end

-- What ended is not done again; else the job goes on where it is, if that is possible.
local function state_for(job, scores)
  if job.finished then
    if Move.FINAL[job.state] then
      return job.state
    end
    for _, state in ipairs(ENDED) do
      if scores[state] then
        return state
      end
    end
  end
  local held = job.token and job.token ~= ''
  if scores[job.state] and (job.state ~= 'active' or held) then
    return job.state
  end
  for _, state in ipairs({ held and 'active' or 'waiting', 'waiting', 'delayed' }) do
    if scores[state] then
      return state
    end
  end
  -- in no set, or in one where only what ended should be
  if States.legal[job.state] and (job.state ~= 'active' or held) then
    return job.state
  end

  return 'waiting'
end

-- The job leaves the places where it is for the one where it should be.
function Whereabouts.mend(job, spots, now)
  local scores = {}
  for _, spot in ipairs(spots) do
    Move.forget(spot.member, spot.set)
    scores[Whereabouts.state(spot.set)] = spot.score
  end
  local state = state_for(job, scores)
  local fields, score = {}, scores[state]
  if state == 'waiting' then
    score = Move.rank(job.priority)
    -- nobody may settle it by the claim it had
    fields = job.state == 'active' and { 'token', '' } or {}
  elseif state == 'delayed' then
    score = Clock.text(score or job.due or now)
    fields = { 'due', score }
  elseif state == 'active' then
    score = Clock.text(score or now + LEASE_MS)
  else
    score = Clock.text(job.finished or score or now)
    fields = { 'finished', score }
  end
  Move.mend(job, state, score, entry_of(job, state), fields)
  Move.flush()
  if state == 'waiting' then
    Events.emit('waiting', job.id)
  end
  Wake.ring()
end

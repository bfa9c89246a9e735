-- move: the only writer of a job's place and state
-- include: keys
-- include: clock
-- include: states
-- include: sets
-- include: tally
-- include: wake
-- include: indexes
--
-- Changes are gathered and written by Move.flush(): a script that moves jobs and then reads the
-- sets flushes in between.
--
-- A job is a table here: id, place, priority, and for the few that have them (field `extra`)
-- group, dedup, expires, tags, cancel, discard.
local Move = {}

-- jobs without a priority come after all that have one (2^32 > the largest priority)
local LAST_RANK = '4294967296'
-- places count up from the middle of 14 hexadecimal digits, and down for lifo jobs
local MIDDLE = 4503599627370496
local MIDDLE_PLACE = string.format('%014x', MIDDLE)
local PLACE_LENGTH = 14
-- digits of a rank in the member of a parked job
local RANK_LENGTH = 10

-- states in which a job has ended
Move.FINAL = { completed = true, failed = true, cancelled = true }

-- group -> how many of its jobs are active no more, or will not be
local freed = {}

function Move.flush()
  Sets.write()
  if next(freed) then
    for group, n in pairs(freed) do
      Move.unpark(group, n)
    end
    freed = {}
    Sets.write()
  end
  Tally.flush()
end

-- The next n numbers of a counter of the queue, `ids` or `seq` (for places); the answer is the
-- first of them.
function Move.numbers(counter, n)
  return redis.call('HINCRBY', Keys.meta, counter, n) - n + 1
end

function Move.place(number, lifo)
  return string.format('%014x', lifo and MIDDLE - number or MIDDLE + number)
end

-- A place at the back of the job's rank; at the front, if it is lifo.
function Move.new_place(job)
  return Move.place(Move.numbers('seq', 1), job.place < MIDDLE_PLACE)
end

function Move.rank(priority)
  if not priority or priority == '' or priority == '0' then
    return LAST_RANK
  end

  return priority
end

-- Fill in what only some jobs have.
function Move.extend(job)
  local f = redis.call('HMGET', Keys.job(job.id), 'group', 'dedup', 'expires', 'tags', 'cancel',
    'discard', 'dedup_ttl')
  job.extra = true
  job.group, job.dedup, job.expires, job.tags = f[1], f[2], f[3], f[4]
  job.cancel, job.discard, job.dedup_ttl = f[5], f[6], f[7]

  return job
end

-- A job as it is now, or nil.
function Move.read(id)
  local f = redis.call('HMGET', Keys.job(id), 'place', 'state', 'priority', 'token', 'extra')
  if not f[1] then
    return nil
  end
  local job = { id = id, place = f[1], state = f[2] or 'waiting', priority = f[3], token = f[4] }

  return f[5] and Move.extend(job) or job
end

-- A new job; fields is the flat list of its hash. A waiting job stores no state: most jobs
-- wait, and memory is what a long queue costs.
function Move.create(id, place, priority, due, fields)
  if due then
    local text = Clock.text(due)
    fields[#fields + 1] = 'state'
    fields[#fields + 1] = 'delayed'
    fields[#fields + 1] = 'due'
    fields[#fields + 1] = text
    Sets.add('delayed', text, place .. id)
  else
    Sets.add('waiting', Move.rank(priority), place .. id)
  end
  redis.call('HSET', Keys.job(id), unpack(fields))
end

-- The job in a member of waiting or delayed.
function Move.placed(member)
  return { place = string.sub(member, 1, PLACE_LENGTH), id = Move.placed_id(member) }
end

function Move.placed_id(member)
  return string.sub(member, PLACE_LENGTH + 1)
end

-- The id in a member of parked: group, a zero byte, rank, place, id.
function Move.parked_id(member)
  local group_end = string.find(member, '\0', 1, true)

  return string.sub(member, group_end + RANK_LENGTH + PLACE_LENGTH + 1)
end

-- Take up to n jobs off the head of waiting. For each of them Move.change must follow with
-- from = 'waiting' and popped = true, or Move.park.
function Move.pop(n)
  local popped = redis.call('ZPOPMIN', Keys.waiting, n)
  local jobs = {}
  for i = 1, #popped, 2 do
    jobs[#jobs + 1] = Move.placed(popped[i])
  end

  return jobs
end

-- The jobs of delayed that are due, at most n of them.
function Move.due(now, n)
  local jobs = redis.call('ZRANGEBYSCORE', Keys.delayed, '-inf', Clock.text(now), 'LIMIT', 0, n)
  for i, member in ipairs(jobs) do
    jobs[i] = Move.placed(member)
  end

  return jobs
end

function Move.parked_member(job)
  local rank = string.format('%0' .. RANK_LENGTH .. 'd', Move.rank(job.priority))

  return job.group .. '\0' .. rank .. job.place .. job.id
end

-- A popped job whose group has no room steps aside: it is waiting still, but not in the way.
function Move.park(job)
  Sets.add('parked', 0, Move.parked_member(job))
end

-- Up to n jobs of a group come back from the side, first come first: how many, and whether there
-- are more of them.
function Move.unpark(group, n)
  local members = redis.call('ZRANGEBYLEX', Keys.parked, '[' .. group .. '\0', '(' .. group .. '\1',
    'LIMIT', 0, n + 1)
  local more = table.remove(members, n + 1)
  for _, member in ipairs(members) do
    local rest = string.sub(member, #group + 2)
    Sets.drop('parked', member)
    Sets.add('waiting', string.sub(rest, 1, RANK_LENGTH), string.sub(rest, RANK_LENGTH + 1))
  end
  if #members > 0 then
    Wake.ring()
  end

  return #members, more ~= nil
end

local function leave(job, from)
  if from == 'waiting' or from == 'delayed' then
    Sets.drop(from, job.place .. job.id)
    if job.group and from == 'waiting' then
      local member = Move.parked_member(job)
      job.parked = redis.call('ZSCORE', Keys.parked, member)
      Sets.drop('parked', member)
    end
  else
    Sets.drop(from, job.id)
  end
end

-- Another job of the group may start instead of this one; it had no turn if it was parked.
function Move.call_another(job)
  if job.group and not job.parked then
    freed[job.group] = (freed[job.group] or 0) + 1
  end
end

-- One change of state. `score` is what the new set is ordered by: the rank in waiting, due ms in
-- delayed, lease end ms in active, finish ms in the final states. `new_place` is given when
-- the job goes to the back. `fields` is a flat list written with the state; a job that fails
-- has its `kind` among them, first.
function Move.change(job, from, to, score, fields, popped, new_place)
  if not States.legal[from] or not States.legal[from][to] then
    error('illegal change of state ' .. from .. ' -> ' .. to .. ' of job ' .. job.id)
  end
  if not popped then
    leave(job, from)
    Indexes.leave(job, from)
  end
  if from == 'active' or (Move.FINAL[to] and Indexes.UNSTARTED[from]) then
    Move.call_another(job)
  end
  Indexes.change(job, from, to, fields[2])
  if Move.FINAL[to] then
    Indexes.release_dedup(job)
  end

  if to == 'waiting' or to == 'delayed' then
    Sets.add(to, score, (new_place or job.place) .. job.id)
  else
    Sets.add(to, score, job.id)
  end
  if new_place then
    fields[#fields + 1] = 'place'
    fields[#fields + 1] = new_place
  end
  if to == 'delayed' then
    fields[#fields + 1] = 'due'
    fields[#fields + 1] = score
  end
  redis.call('HSET', Keys.job(job.id), 'state', to, unpack(fields))
end

-- A job whose hash is gone leaves the set it was in.
function Move.forget(set_member, from)
  Sets.drop(from, set_member)
end

-- A repair: whatever the job was, it is this; its other entries are forgotten, no counter follows.
function Move.mend(job, state, score, member, fields)
  Sets.add(state, score, member)
  redis.call('HSET', Keys.job(job.id), 'state', state, 'place', job.place, unpack(fields))
end

-- The job goes, with all that is kept of it. Nobody is called in its stead if it has not started:
-- who removes one such job says Move.call_another, who removes all has no use for more of them.
function Move.remove(job, from)
  leave(job, from)
  Indexes.leave(job, from)
  if from == 'active' then
    Move.call_another(job)
  end
  Indexes.remove(job, from)
  redis.call('UNLINK', Keys.job(job.id), Keys.logs(job.id), Keys.emitted(job.id), Keys.failures(job.id))
end

-- move: the only writer of a job's place and state
-- include: keys
-- include: clock
-- include: states
--
-- Changes of the sorted sets are gathered and written by Move.flush(), one command per set,
-- so that a batch of jobs costs no more commands than one job. A script that moves jobs and
-- then reads the sets flushes in between.
local Move = {}

-- jobs without a priority come after all that have one (2^32 > the largest priority)
local LAST_RANK = '4294967296'
-- places count up from the middle of 14 hexadecimal digits, and down for lifo jobs
local MIDDLE = 4503599627370496
local MIDDLE_PLACE = string.format('%014x', MIDDLE)
local PLACE_LENGTH = 14
-- Lua's unpack takes some 8,000 values
local CHUNK = 4000

local adds = {}
local drops = {}

local function gather(lists, set, first, second)
  local list = lists[set]
  if not list then
    list = {}
    lists[set] = list
  end
  list[#list + 1] = first
  if second then
    list[#list + 1] = second
  end
end

local function write(command, lists)
  for set, list in pairs(lists) do
    for from = 1, #list, CHUNK do
      redis.call(command, Keys[set], unpack(list, from, math.min(from + CHUNK - 1, #list)))
    end
    lists[set] = nil
  end
end

function Move.flush()
  write('ZREM', drops)
  write('ZADD', adds)
end

-- The next n numbers of a counter of the queue, `ids` or `seq` (for places); the answer is the
-- first of them.
function Move.numbers(counter, n)
  return redis.call('HINCRBY', Keys.meta, counter, n) - n + 1
end

function Move.place(number, lifo)
  return string.format('%014x', lifo and MIDDLE - number or MIDDLE + number)
end

function Move.is_lifo(place)
  return place < MIDDLE_PLACE
end

function Move.rank(priority)
  if not priority or priority == '' or priority == '0' then
    return LAST_RANK
  end

  return priority
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
    gather(adds, 'delayed', text, place .. id)
  else
    gather(adds, 'waiting', Move.rank(priority), place .. id)
  end
  redis.call('HSET', Keys.job(id), unpack(fields))
end

-- Take up to n jobs off the head of waiting; each answer is {place, id}. Move.change must
-- follow for each of them, with from = 'waiting' and popped = true.
function Move.pop(n)
  local popped = redis.call('ZPOPMIN', Keys.waiting, n)
  local jobs = {}
  for i = 1, #popped, 2 do
    jobs[#jobs + 1] = {
      place = string.sub(popped[i], 1, PLACE_LENGTH),
      id = string.sub(popped[i], PLACE_LENGTH + 1),
    }
  end

  return jobs
end

-- The jobs of delayed that are due, {place, id} each, at most n of them.
function Move.due(now, n)
  local members = redis.call('ZRANGEBYSCORE', Keys.delayed, '-inf', Clock.text(now), 'LIMIT', 0, n)
  local jobs = {}
  for i, member in ipairs(members) do
    jobs[i] = {
      place = string.sub(member, 1, PLACE_LENGTH),
      id = string.sub(member, PLACE_LENGTH + 1),
    }
  end

  return jobs
end

local function member(set, id, place)
  if set == 'waiting' or set == 'delayed' then
    return place .. id
  end

  return id
end

-- One change of state. `score` is what the new set is ordered by: the rank in waiting, due ms in
-- delayed, lease end ms in active, finish ms in the final states. `new_place` is given when
-- the job goes to the back. `fields` is a flat list written with the state.
function Move.change(id, place, from, to, score, fields, popped, new_place)
  if not States.legal[from] or not States.legal[from][to] then
    error('illegal change of state ' .. from .. ' -> ' .. to .. ' of job ' .. id)
  end
  if not popped then
    gather(drops, from, member(from, id, place))
  end
  gather(adds, to, score, member(to, id, new_place or place))
  if new_place then
    fields[#fields + 1] = 'place'
    fields[#fields + 1] = new_place
  end
  if to == 'delayed' then
    fields[#fields + 1] = 'due'
    fields[#fields + 1] = score
  end
  redis.call('HSET', Keys.job(id), 'state', to, unpack(fields))
end

-- A job whose hash is gone leaves the set it was in.
function Move.forget(set_member, from)
  gather(drops, from, set_member)
end

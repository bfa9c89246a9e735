-- audit: jobs are judged, each with all its places and indexes at one moment
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, fix (1 to repair what is found, or 0), then for each suspect: where (it was met: job, or a
--         set of states), what (was met there: the id, or the member)
-- REPLY   for each finding a list of problem, id or key, detail, 1 if it was repaired or 0
-- ERRORS  none
-- EVENTS  waiting, removed
-- include: keys
-- include: clock
-- include: states
-- include: events
-- include: wake
-- include: findings
-- include: holder
-- include: record
-- include: whereabouts
-- include: move
--
-- What is wrong with a job's fields is told first, then where it is; the rest is judged when these
-- are right.
local now, fix = Clock.now(ARGV[1]), ARGV[2] == '1'
-- ids of so many digits are numbers without loss
local LONGEST_NUMBER = 15
local FIRST_PLACE = tonumber(Move.place(0), 16)
local counters = redis.call('HMGET', Keys.meta, 'ids', 'seq')
counters = { ids = tonumber(counters[1]) or 0, seq = tonumber(counters[2]) or 0 }

local function malformed(job, wrong, set, member)
  Findings.add('malformed', job.id, 'without, or not readable: ' .. table.concat(wrong, ', '), fix)
  if not fix then
    return
  end
  local key = Keys.job(job.id)
  for _, field in ipairs({ 'priority', 'due', 'finished', 'expires', 'tags' }) do
    if wrong[field] then
      redis.call('HDEL', key, field)
      job[field] = nil
    end
  end
  if wrong.created then
    redis.call('HSET', key, 'created', Clock.text(now))
  end
  if wrong.place then
    local placed = set == 'waiting' or set == 'delayed'
    local place = placed and Move.placed(member).place or ''
    if not Record.is_place(place) then
      counters.seq = Move.numbers('seq', 1)
      place = Move.place(counters.seq)
    end
    job.place = place
  end
  local spots = Whereabouts.all(job, set or 'waiting', member or job.place .. job.id)
  if wrong.name or wrong.data then
    -- nothing is left that could be run
    for _, spot in ipairs(spots) do
      Move.forget(spot.member, spot.set)
    end
    Move.remove(job, States.legal[job.state] and job.state or 'waiting')
    Move.flush()
    Events.emit('removed', job.id)
  elseif wrong.place then
    Whereabouts.mend(job, spots, now)
  end
end

-- What is wrong with where the job is, or nil.
local function misplaced(job, spots)
  local spot = spots[1]
  if not spot then
    return 'stuck', 'in no set, its state is ' .. job.state
  elseif #spots > 1 then
    local sets = {}
    for i, other in ipairs(spots) do
      sets[i] = other.set
    end
    return 'in_two_places', 'in ' .. table.concat(sets, ', ') .. '; its state is ' .. job.state
  elseif spot.set == 'parked' and not job.group then
    return 'parked_without_group', 'in parked, and it has no group'
  elseif Whereabouts.state(spot.set) ~= job.state then
    return 'state_differs', 'in ' .. spot.set .. ', its state is ' .. job.state
  elseif spot.strange then
    return 'place_differs', 'its entry in ' .. spot.set .. ' is not of its place ' .. job.place
  end
end

local function has_counted(counter, number)
  if number > counters[counter] then
    Findings.add('counter_behind', counter, 'jobs have numbers that it will give again', fix)
    if fix then
      redis.call('HSET', Keys.meta, counter, Clock.text(number))
      counters[counter] = number
    end
  end
end

-- No job has a number that its counter has yet to give.
local function numbers(job)
  if #job.id <= LONGEST_NUMBER and string.find(job.id, '^%d+$') then
    has_counted('ids', tonumber(job.id))
  end
  has_counted('seq', math.abs(tonumber(job.place, 16) - FIRST_PLACE))
end

-- What differs between the job and its entry in the set of its state.
local function compare(job, spot)
  local key, state, score = Keys.job(job.id), job.state, spot.score
  if spot.set == 'waiting' and score ~= tonumber(Move.rank(job.priority)) then
    Findings.add('rank_differs', job.id, 'it waits at rank ' .. Clock.text(score) .. ', its own is '
      .. Move.rank(job.priority), fix)
    if fix then
      Whereabouts.mend(job, { spot }, now)
    end
  elseif state == 'delayed' and score ~= job.due then
    Findings.add('due_differs', job.id, 'it starts at ' .. Clock.text(score) .. ', and says '
      .. (job.due and Clock.text(job.due) or 'nothing'), fix)
    if fix then
      redis.call('HSET', key, 'due', Clock.text(score))
    end
  elseif state == 'active' and (job.token or '') == '' then
    Findings.add('no_token', job.id, 'under a claim that nobody can prove', fix)
    if fix then
      Move.change(job, 'active', 'waiting', Move.rank(job.priority), { 'token', '' })
      Move.flush()
      job.state = 'waiting'
      Events.emit('waiting', job.id)
      Wake.ring()
    end
  elseif Move.FINAL[state] and score ~= job.finished then
    Findings.add('finished_differs', job.id, 'it ended at ' .. Clock.text(score) .. ', and says '
      .. (job.finished and Clock.text(job.finished) or 'nothing'), fix)
    if fix then
      Whereabouts.mend(job, { spot }, now)
    end
  end
  if state == 'failed' and not job.kind then
    Findings.add('no_kind', job.id, 'failed, and not said how', fix)
    if fix then
      local record = redis.call('HGET', key, 'failure') or ''
      redis.call('HSET', key, 'kind', string.match(record, '"kind":"([%l_]+)"') or 'error')
    end
  end
end

local function dedup(job)
  -- a job that was retried may find its key taken, and does without
  if not job.dedup or job.dedup_ttl or job.retried or job['repeat'] or Move.FINAL[job.state] then
    return
  end
  local key = Keys.dedup(job.dedup)
  local subject = 'dedup:' .. job.dedup
  local wrong = Holder.wrong(job.dedup)
  if wrong then
    Findings.add('dedup_wrong', subject, wrong, fix)
  elseif redis.call('EXISTS', key) == 0 then
    Findings.add('dedup_lost', subject, 'job ' .. job.id .. ' should hold it', fix)
    wrong = true
  end
  if wrong and fix then
    redis.call('SET', key, job.id)
  end
end

-- The indexes that the job should be in.
local function indexes(job)
  local key, member = Keys.job(job.id), 'x' .. job.id
  if not job.extra and (job.group or job.dedup or job.expires or job.tags or job.cancel or job.discard) then
    Findings.add('unmarked', job.id, 'its field extra is missing', fix)
    if fix then
      redis.call('HSET', key, 'extra', '1')
    end
  end
  for _, tag in ipairs(job.tags and Record.tags(job) or {}) do
    if redis.call('SISMEMBER', Keys.tag(tag), job.id) == 0 then
      Findings.add('tag_missing', job.id, 'not in the set of its tag ' .. tag, fix)
      if fix then
        redis.call('SADD', Keys.tag(tag), job.id)
      end
    end
  end
  dedup(job)
  local may_expire = job.state == 'waiting' or job.state == 'delayed'
  if may_expire and job.expires
    and tonumber(redis.call('ZSCORE', Keys.expiry, member)) ~= job.expires then
    Findings.add('expiry_missing', job.id, 'it expires at ' .. Clock.text(job.expires), fix)
    if fix then
      redis.call('ZADD', Keys.expiry, Clock.text(job.expires), member)
    end
  end
  if job.state == 'active' and job.cancel and redis.call('HEXISTS', Keys.cancelling, job.id) == 0 then
    Findings.add('cancel_untold', job.id, 'whoever runs it does not know that it is cancelled', fix)
    if fix then
      redis.call('HSET', Keys.cancelling, job.id, Clock.text(now) .. ' ' .. job.cancel)
    end
  end
end

-- What was repaired is judged once more, with all that may be wrong beside it.
local function judge(set, what, is_repaired)
  local id = what
  if set then
    id = Whereabouts.id(set, what)
  end
  local job = id and Record.read(id)
  if not job then
    if set and redis.call('ZSCORE', Keys[set], what) then
      Findings.add('dangling', id or what, 'in ' .. set .. ', and there is no such job', fix)
      if fix then
        Move.forget(what, set)
        Move.flush()
      end
    end
    return
  end

  local wrong = Record.unreadable(job)
  if wrong then
    malformed(job, wrong, set, set and what)
    return fix and not is_repaired and judge(nil, id, true)
  end
  numbers(job)
  local spots = Whereabouts.all(job, set, what)
  local problem, detail = misplaced(job, spots)
  if problem then
    Findings.add(problem, id, detail, fix)
    if not fix then
      return
    end
    Whereabouts.mend(job, spots, now)
    job = Record.read(id)
    Record.unreadable(job)
    spots = Whereabouts.all(job)
  end
  compare(job, spots[1])
  indexes(job)
end

for i = 3, #ARGV, 2 do
  judge(ARGV[i] ~= 'job' and ARGV[i], ARGV[i + 1])
end

return Findings.reply()

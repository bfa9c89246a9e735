-- audit_keys: keys that belong to a job, a series, a limit or a supervisor: whether it is there
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, fix (1 to repair what is found, or 0), then for each key: kind (dedup, repeat, logs,
--         emitted, failures, limiter or worker), name
-- REPLY   for each finding a list of problem, id or key, detail, 1 if it was repaired or 0
-- ERRORS  SANDQ_INVALID
-- EVENTS  none
-- include: keys
-- include: clock
-- include: findings
-- include: holder
local now, fix = Clock.now(ARGV[1]), ARGV[2] == '1'
local function left_behind(id, key, subject)
  if redis.call('EXISTS', Keys.job(id)) == 0 and redis.call('EXISTS', key) == 1 then
    Findings.add('left_behind', subject, 'the job is gone', fix)
    if fix then
      redis.call('UNLINK', key)
    end
  end
end

local function lasting(key, subject)
  if redis.call('PTTL', key) == -1 then
    Findings.add('lasting', subject, 'it has no time to live', fix)
    if fix then
      -- whoever needs it writes it anew
      redis.call('UNLINK', key)
    end
  end
end

local JUDGE = {}

function JUDGE.dedup(name, subject)
  local wrong = Holder.wrong(name)
  if wrong then
    Findings.add('dedup_wrong', subject, wrong, fix)
    if fix then
      redis.call('UNLINK', Keys.dedup(name))
    end
  end
end

JUDGE['repeat'] = function(name, subject)
  local key = Keys.one_series(name)
  if redis.call('EXISTS', key) == 0 or redis.call('ZSCORE', Keys.series, name) then
    return
  end
  local f = redis.call('HMGET', key, 'name', 'rule')
  Findings.add('series_stopped', subject, f[1] and f[2] and 'nobody makes its jobs' or 'it cannot be read', fix)
  if fix and f[1] and f[2] then
    -- it is due, so some supervisor makes its next job
    redis.call('ZADD', Keys.series, Clock.text(now), name)
  elseif fix then
    redis.call('UNLINK', key)
  end
end

function JUDGE.logs(id, subject)
  left_behind(id, Keys.logs(id), subject)
end

function JUDGE.emitted(id, subject)
  left_behind(id, Keys.emitted(id), subject)
end

function JUDGE.failures(id, subject)
  left_behind(id, Keys.failures(id), subject)
end

function JUDGE.limiter(group, subject)
  lasting(Keys.limiter(group ~= '' and group or nil), subject)
end

function JUDGE.worker(worker, subject)
  lasting(Keys.worker(worker), subject)
end

for i = 3, #ARGV, 2 do
  if not JUDGE[ARGV[i]] then
    return redis.error_reply('SANDQ_INVALID no such kind of key: ' .. ARGV[i])
  end
end
for i = 3, #ARGV, 2 do
  local kind, name = ARGV[i], ARGV[i + 1]
  JUDGE[kind](name, name == '' and kind or kind .. ':' .. name)
end

return Findings.reply()

-- audit_index: one page of an index: entries of jobs that are gone, or that are no such jobs
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, fix (1 to repair what is found, or 0), index (expiry, cancelling, repeat, or tag), tag
--         (empty for the others), cursor, most
-- REPLY   where to go on, 0 at the end; then for each finding a list of problem, id or key, detail,
--         1 if it was repaired or 0
-- ERRORS  SANDQ_INVALID
-- EVENTS  none
-- include: keys
-- include: clock
-- include: findings
-- include: series
-- include: move
local now, fix = Clock.now(ARGV[1]), ARGV[2] == '1'
local tag = ARGV[4]
-- a request to stop a job is of no use to anybody after this, and is dropped by tend long before
local STALE_MS = 600000

local JUDGE = {}

function JUDGE.expiry(member)
  local what, id = string.sub(member, 1, 1), string.sub(member, 2)
  local f = redis.call('HMGET', Keys.job(id), 'place', 'state', 'expires')
  local may_start = not f[2] or f[2] == 'waiting' or f[2] == 'delayed'
  local wrong
  if not f[1] then
    wrong = 'the job is gone'
  elseif what == 'r' and f[2] ~= 'completed' then
    wrong = 'the job has no value to be dropped'
  elseif what == 'x' and not (f[3] and may_start) then
    wrong = 'the job need not start in time'
  elseif what ~= 'x' and what ~= 'r' then
    wrong = 'it is not known what should expire'
  end
  if wrong then
    Findings.add('expiry_dangling', id, wrong, fix)
    if fix then
      Move.forget(member, 'expiry')
    end
  end
end

function JUDGE.cancelling(id, text)
  local since = tonumber(string.match(text, '^%d+'))
  local is_old = not since or since < now - STALE_MS
  if is_old and not redis.call('ZSCORE', Keys.active, id) then
    Findings.add('cancelling_stale', id, 'no such job runs', fix)
    if fix then
      redis.call('HDEL', Keys.cancelling, id)
    end
  end
end

JUDGE['repeat'] = function(key, score)
  local subject = 'repeat:' .. key
  if redis.call('HEXISTS', Keys.one_series(key), 'name') == 0 then
    Findings.add('series_dangling', subject, 'nothing says what it repeats', fix)
    if fix then
      redis.call('ZREM', Keys.series, key)
    end
  elseif tonumber(score) > now then
    local id = Series.id(key, tonumber(score))
    if redis.call('EXISTS', Keys.job(id)) == 0 then
      Findings.add('series_unmade', subject, 'job ' .. id .. ' is gone', false)
    end
  end
end

function JUDGE.tag(id)
  local tags = redis.call('HGET', Keys.job(id), 'tags')
  local ok, list = pcall(cjson.decode, tags or '')
  for _, other in ipairs(ok and type(list) == 'table' and list or {}) do
    if other == tag then
      return
    end
  end
  Findings.add('tag_dangling', 'tag:' .. tag, 'job ' .. id .. ' is gone, or does not bear it', fix)
  if fix then
    redis.call('SREM', Keys.tag(tag), id)
  end
end

local index = ARGV[3]
local COMMANDS = { expiry = 'ZSCAN', cancelling = 'HSCAN', ['repeat'] = 'ZSCAN', tag = 'SSCAN' }
if not COMMANDS[index] then
  return redis.error_reply('SANDQ_INVALID no such index: ' .. index)
end
local key = Keys.base .. index
if index == 'tag' then
  key = Keys.tag(tag)
end
local page = redis.call(COMMANDS[index], key, ARGV[5], 'COUNT', ARGV[6])
for i = 1, #page[2], index == 'tag' and 1 or 2 do
  JUDGE[index](page[2][i], page[2][i + 1])
end
Move.flush()

return Findings.reply(page[1])

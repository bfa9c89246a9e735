-- audit_queue: what is one for the whole queue: its layout, its bell, its active jobs by group
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    fix (1 to repair what is found, or 0), most (active jobs that are counted in one go)
-- REPLY   how many active jobs there were too many to be counted, else 0; then for each finding a
--         list of problem, id or key, detail, 1 if it was repaired or 0
-- ERRORS  none
-- EVENTS  none
-- include: keys
-- include: states
-- include: findings
-- include: census
-- include: move
local fix, most = ARGV[1] == '1', tonumber(ARGV[2])

local function has_jobs()
  for state in pairs(States.legal) do
    if redis.call('EXISTS', Keys[state]) == 1 then
      return true
    end
  end

  return false
end

if redis.call('HEXISTS', Keys.meta, 'layout') == 0 and has_jobs() then
  Findings.add('layout_missing', 'meta', 'there are jobs, and their layout is not told', fix)
  if fix then
    redis.call('HSET', Keys.meta, 'layout', Keys.LAYOUT)
  end
end
local rung = redis.call('LLEN', Keys.wake)
if rung > 1 then
  Findings.add('bell_crowded', 'wake', 'it holds ' .. rung .. ' elements', fix)
  if fix then
    redis.call('LTRIM', Keys.wake, 0, 0)
  end
end

local active = redis.call('ZCARD', Keys.active)
local is_countable = active <= most
if is_countable then
  local counted = Census.count(redis.call('ZRANGE', Keys.active, 0, -1), 'group', nil, {})
  Census.compare('groups', counted, 'jobs of the group are active', 'groups_differ', fix)
end
Move.flush()

return Findings.reply(is_countable and 0 or active)

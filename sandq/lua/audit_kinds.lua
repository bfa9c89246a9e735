-- audit_kinds: the failed jobs by kind, as the queue counts them, against blocks of them
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    fix (1 to repair what is found, or 0), most, then for each block: after (ms, or -inf), upto
--         (ms), size, kinds (kind and number in turn, spaces between them)
-- REPLY   1 if all was compared; then for each finding a list of problem, id or key, detail, 1 if it
--         was repaired or 0. Else 0; then how many jobs are in no block, and the numbers of the
--         blocks that have changed
-- ERRORS  none
-- EVENTS  none
-- include: keys
-- include: findings
-- include: census
-- include: move
--
-- Nothing fails in the past: a block of failed jobs only ever loses jobs, so one that has as many
-- as when it was counted is the same. What has changed is counted here, if it is not too much.
local WIDTH = 4
local fix, most = ARGV[1] == '1', tonumber(ARGV[2])
local counts, changed, size = {}, { 0, 0 }, 0

local function size_of(after, upto)
  return redis.call('ZCOUNT', Keys.failed, after == '-inf' and after or '(' .. after, upto)
end

local function count(after, upto)
  local ids = redis.call('ZRANGEBYSCORE', Keys.failed, after == '-inf' and after or '(' .. after, upto)
  Census.count(ids, 'kind', '?', counts)
end

for i = 3, #ARGV, WIDTH do
  local found = size_of(ARGV[i], ARGV[i + 1])
  if found ~= tonumber(ARGV[i + 2]) then
    changed[#changed + 1] = (i - 3) / WIDTH
    size = size + found
  else
    for kind, number in string.gmatch(ARGV[i + 3], '([^ ]+) (%d+)') do
      counts[kind] = (counts[kind] or 0) + tonumber(number)
    end
  end
end
local rest = #ARGV > 2 and ARGV[#ARGV - WIDTH + 2] or '-inf'
local newer = size_of(rest, '+inf')
if size + newer > most then
  changed[2] = newer
  return changed
end

for n = 3, #changed do
  local i = 3 + changed[n] * WIDTH
  count(ARGV[i], ARGV[i + 1])
end
count(rest, '+inf')
Census.compare('kinds', counts, 'jobs have failed so', 'kinds_differ', fix)
Move.flush()

return Findings.reply(1)

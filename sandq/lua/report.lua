-- report: keep what running attempts say: progress and log rows
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, kept, then for each report: id, token, kind ('progress' or 'log'), text
-- REPLY   how many were kept; those of lost claims are not
-- ERRORS  SANDQ_INVALID
-- EVENTS  progress
-- include: keys
-- include: clock
-- include: events
for i = 3, #ARGV, 4 do
  if ARGV[i + 2] ~= 'progress' and ARGV[i + 2] ~= 'log' then
    return redis.error_reply('SANDQ_INVALID no such report: ' .. tostring(ARGV[i + 2]))
  end
end

local now = Clock.text(Clock.now(ARGV[1]))
local kept = 0

for i = 3, #ARGV, 4 do
  local id, text = ARGV[i], ARGV[i + 3]
  local f = redis.call('HMGET', Keys.job(id), 'token', 'state')
  if f[1] == ARGV[i + 1] and f[2] == 'active' then
    if ARGV[i + 2] == 'progress' then
      redis.call('HSET', Keys.job(id), 'progress', text)
      Events.emit('progress', id)
    else
      redis.call('RPUSH', Keys.logs(id), now .. ' ' .. text)
      redis.call('LTRIM', Keys.logs(id), -tonumber(ARGV[2]), -1)
    end
    kept = kept + 1
  end
end

return kept

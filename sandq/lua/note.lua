-- note: progress or a log row of a job, from anybody
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, kept, id, kind ('progress' or 'log'), text
-- REPLY   1, or 0 if there is no such job
-- ERRORS  SANDQ_INVALID
-- EVENTS  progress
-- include: keys
-- include: clock
-- include: events
local id, what, text = ARGV[3], ARGV[4], ARGV[5]
if what ~= 'progress' and what ~= 'log' then
  return redis.error_reply('SANDQ_INVALID no such note: ' .. what)
end
if redis.call('EXISTS', Keys.job(id)) == 0 then
  return 0
end
if what == 'progress' then
  redis.call('HSET', Keys.job(id), 'progress', text)
  Events.emit('progress', id)
else
  redis.call('RPUSH', Keys.logs(id), Clock.text(Clock.now(ARGV[1])) .. ' ' .. text)
  redis.call('LTRIM', Keys.logs(id), -tonumber(ARGV[2]), -1)
end

return 1

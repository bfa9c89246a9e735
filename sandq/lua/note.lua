-- note: progress or a log row of a job, from anybody
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, first (log rows that stay), newest (log rows beside them), id, kind ('progress' or
--         'log'), text
-- REPLY   1, or 0 if there is no such job
-- ERRORS  SANDQ_INVALID
-- EVENTS  progress
-- include: keys
-- include: clock
-- include: events
-- include: rows
local id, what, text = ARGV[4], ARGV[5], ARGV[6]
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
  local now = Clock.text(Clock.now(ARGV[1]))
  Rows.append(id, now, { text }, tonumber(ARGV[2]), tonumber(ARGV[3]))
end

return 1

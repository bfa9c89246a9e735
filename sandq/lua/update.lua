-- update: a job gets other data
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    id, data, token (of the claim under which it is asked for; empty: anybody asks)
-- REPLY   1, or 0 if there is no such job, or the claim is lost
-- ERRORS  none
-- EVENTS  updated
-- include: keys
-- include: events
-- include: pieces
local key = Keys.job(ARGV[1])
if redis.call('EXISTS', key) == 0 then
  return 0
end
if ARGV[3] ~= '' then
  local f = redis.call('HMGET', key, 'token', 'state')
  if f[1] ~= ARGV[3] or f[2] ~= 'active' then
    return 0
  end
end
Pieces.replace(ARGV[1], ARGV[2])
Events.emit('updated', ARGV[1])

return 1

-- emitted: the parts of its result that a job's newest attempt has told so far
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    id, start
-- REPLY   the job's state, empty if there is no such job; how often it was claimed; then the list of
--         parts, JSON text each
-- ERRORS  none
-- EVENTS  none
-- include: keys
local f = redis.call('HMGET', Keys.job(ARGV[1]), 'name', 'state', 'claims', 'emitted')
local state = f[1] and (f[2] or 'waiting') or ''
-- what an earlier attempt has told is nothing of this one's
if not f[4] or f[4] ~= f[3] then
  return { state, f[3] or '0', {} }
end

return { state, f[3], redis.call('LRANGE', Keys.emitted(ARGV[1]), ARGV[2], -1) }

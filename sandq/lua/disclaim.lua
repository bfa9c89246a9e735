-- disclaim: give back what claims took whose replies were lost on the way
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    for each lost claim: token
-- REPLY   the ids of the jobs that went back to their place
-- ERRORS  none
-- EVENTS  released
-- include: keys
-- include: events
-- include: wake
-- include: move
local tokens = {}
for _, token in ipairs(ARGV) do
  tokens[token] = true
end

local ids = {}
for _, id in ipairs(redis.call('ZRANGE', Keys.active, 0, -1)) do
  local f = redis.call('HMGET', Keys.job(id), 'token', 'place', 'priority')
  if f[1] and tokens[f[1]] then
    Move.change(id, f[2], 'active', 'waiting', Move.rank(f[3]), { 'token', '' })
    Events.emit('released', id, 'delay_ms', 0)
    ids[#ids + 1] = id
  end
end
Move.flush()
if #ids > 0 then
  Wake.ring()
end

return ids

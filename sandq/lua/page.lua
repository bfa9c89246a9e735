-- page: some jobs of one state, with all their fields
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    state, start, stop, newest_first
-- REPLY   for each job a list of its id and the flat list of its hash
-- ERRORS  SANDQ_INVALID
-- EVENTS  none
-- include: keys
-- include: states
local state = ARGV[1]
if not States.legal[state] then
  return redis.error_reply('SANDQ_INVALID no such state: ' .. state)
end

local range = ARGV[4] == '1' and 'ZREVRANGE' or 'ZRANGE'
local placed = state == 'waiting' or state == 'delayed'
local reply = {}
for _, member in ipairs(redis.call(range, Keys[state], ARGV[2], ARGV[3])) do
  local id = placed and string.sub(member, 15) or member
  local fields = redis.call('HGETALL', Keys.job(id))
  if #fields > 0 then
    reply[#reply + 1] = { id, fields }
  end
end

return reply

-- audit_set: one page of a set of states: the members that its job should not have there
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    set, cursor, most
-- REPLY   where to go on, 0 at the end; how many were looked at; then the members that are to be
--         judged
-- ERRORS  none
-- EVENTS  none
-- include: keys
-- include: whereabouts
--
-- Pages are by ZSCAN: no member that is there all the time is missed, however many come and go.
local set, most = ARGV[1], tonumber(ARGV[3])
local page = redis.call('ZSCAN', Keys[set], ARGV[2], 'COUNT', most)
local members = page[2]
local seen = math.min(#members / 2, most)
local reply = { page[1], seen }

for i = 1, #members, 2 do
  -- a page may be longer than was asked for: the rest is judged in turn
  if i > 2 * seen or not Whereabouts.is_right(set, members[i]) then
    reply[#reply + 1] = members[i]
  end
end

return reply

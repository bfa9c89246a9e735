-- promote: delayed jobs that are due go to waiting
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, most
-- REPLY   how many were promoted, then when the next one is due or -1
-- ERRORS  none
-- EVENTS  waiting
-- include: clock
-- include: wake
-- include: due
local promoted = Due.promote(Clock.now(ARGV[1]), tonumber(ARGV[2]))
if promoted > 0 then
  Wake.ring()
end

return { promoted, Clock.text(Due.next()) }

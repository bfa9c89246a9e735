-- audit_failed: some failed jobs, in the order of their end, counted by kind
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    after (ms, or -inf), before (ms; empty: now), most
-- REPLY   before; when the last of these ended (ms), empty at the end; how many there were; then a
--         flat list of kind and number
-- ERRORS  none
-- EVENTS  none
-- include: keys
-- include: clock
-- include: census
--
-- Jobs of one moment are counted together, though they be more than was asked for.
local after, most = ARGV[1], ARGV[3]
local before = ARGV[2] == '' and Clock.text(Clock.now('')) or ARGV[2]
local first = after == '-inf' and after or '(' .. after
local last = redis.call('ZRANGEBYSCORE', Keys.failed, first, '(' .. before, 'WITHSCORES', 'LIMIT', most - 1, 1)[2]
local ids
if last then
  last = Clock.text(last)
  ids = redis.call('ZRANGEBYSCORE', Keys.failed, first, last)
else
  ids = redis.call('ZRANGEBYSCORE', Keys.failed, first, '(' .. before)
end

local reply = { before, last or '', #ids }
for kind, number in pairs(Census.count(ids, 'kind', '?', {})) do
  reply[#reply + 1] = kind
  reply[#reply + 1] = number
end

return reply

-- ending: how a job ended that is gone, if the event stream still tells
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    id, before (an event id, or + for the newest), most
-- REPLY   the event's kind, what it brings (the value, the failure record or the reason) and the
--         kind of failure, empty where there is none (all three: not in this page), then the event id
--         to go on before, empty when nothing older tells
-- ERRORS  none
-- EVENTS  none
-- include: keys
local ENDINGS = { completed = 'value', failed = 'failure', cancelled = 'reason' }
-- what came before these was another run, or another job of the same id
local BEGINNINGS = { waiting = true, delayed = true, removed = true }
local entries = redis.call('XREVRANGE', Keys.events, ARGV[2], '-', 'COUNT', ARGV[3])

for _, entry in ipairs(entries) do
  local said = {}
  for i = 1, #entry[2], 2 do
    said[entry[2][i]] = entry[2][i + 1]
  end
  if said.id == ARGV[1] and ENDINGS[said.e] then
    return { said.e, said[ENDINGS[said.e]] or '', said.kind or '', '' }
  end
  if said.id == ARGV[1] and BEGINNINGS[said.e] then
    return { '', '', '', '' }
  end
end

local last = #entries == tonumber(ARGV[3]) and entries[#entries][1]

return { '', '', '', last and '(' .. last or '' }

-- retry_many: the oldest jobs of an ended state are run again
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, state, reset (1 to count their attempts anew, or 0), before (ms; only jobs that ended
--         then or earlier; empty: now), most, kind (of failure; empty: any)
-- REPLY   the ids, then the time it was, as a last element
-- ERRORS  SANDQ_INVALID
-- EVENTS  waiting
-- include: keys
-- include: clock
-- include: move
-- include: restart
if not Move.FINAL[ARGV[2]] then
  return redis.error_reply('SANDQ_INVALID not an ended state: ' .. ARGV[2])
end

local now = Clock.now(ARGV[1])
local before = ARGV[4] == '' and Clock.text(now) or ARGV[4]
local most, kind = tonumber(ARGV[5]), ARGV[6]
local PAGE = 1000
local jobs, reply = {}, {}
local offset = 0

-- pages are read until there are enough of the kind: the others are only looked at
while #jobs < most and offset < 100 * PAGE do
  local ids = redis.call('ZRANGEBYSCORE', Keys[ARGV[2]], '-inf', before, 'LIMIT', offset, PAGE)
  for _, id in ipairs(ids) do
    if #jobs < most and (kind == '' or redis.call('HGET', Keys.job(id), 'kind') == kind) then
      local job = Move.read(id)
      if job then
        jobs[#jobs + 1] = job
        reply[#reply + 1] = id
      else
        Move.forget(id, ARGV[2])
      end
    end
  end
  if #ids < PAGE then
    break
  end
  offset = offset + PAGE
end
Restart.all(jobs, now, ARGV[3] == '1')
reply[#reply + 1] = before

return reply

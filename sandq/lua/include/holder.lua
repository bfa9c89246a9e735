-- holder: whether the job that a dedup key names has the right to it
-- include: keys
-- include: move
local Holder = {}

-- What is wrong with a dedup key that is there and lasts, or nil.
function Holder.wrong(name)
  local key = Keys.dedup(name)
  local id = redis.call('GET', key)
  -- a key with a time to live may outlive its job
  if not id or redis.call('PTTL', key) ~= -1 then
    return nil
  end
  local f = redis.call('HMGET', Keys.job(id), 'place', 'state', 'dedup', 'dedup_ttl')
  if not f[1] then
    return 'it names job ' .. id .. ', which is gone'
  elseif f[3] ~= name or f[4] then
    return 'it names job ' .. id .. ', which has no right to it'
  elseif Move.FINAL[f[2]] then
    return 'it names job ' .. id .. ', which has ended'
  end
end

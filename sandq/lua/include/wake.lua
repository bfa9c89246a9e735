-- wake: the bell that idle supervisors wait at; it holds one token at most
-- include: keys
local Wake = {}

function Wake.ring()
  if redis.call('LLEN', Keys.wake) == 0 then
    redis.call('RPUSH', Keys.wake, '1')
  end
end

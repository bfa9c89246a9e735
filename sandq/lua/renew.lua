-- renew: prolong the leases of a batch of claims
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, lease_ms, then for each claim: id, token
-- REPLY   the ids of the claims that are lost: the job is gone, or another's
-- ERRORS  none
-- EVENTS  none
-- include: keys
-- include: clock
local CHUNK = 2000
local lease_end = Clock.text(Clock.now(ARGV[1]) + tonumber(ARGV[2]))
local lost = {}
local leases = {}

for i = 3, #ARGV, 2 do
  local f = redis.call('HMGET', Keys.job(ARGV[i]), 'token', 'state')
  if f[1] == ARGV[i + 1] and f[2] == 'active' then
    leases[#leases + 1] = lease_end
    leases[#leases + 1] = ARGV[i]
  else
    lost[#lost + 1] = ARGV[i]
  end
end
for from = 1, #leases, CHUNK do
  -- a lease is the score of a job that is active already: no job changes its place here
  redis.call('ZADD', Keys.active, 'XX', unpack(leases, from, math.min(from + CHUNK - 1, #leases)))
end

return lost

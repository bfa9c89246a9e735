-- settle_and_claim: write the verdicts on a batch of attempts and take up to n jobs, in one call
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, n, token, worker, lease_ms, then for each settlement: id, token, action, delay_ms, kind,
--         payload, retain
-- REPLY   a list of statuses (ok, done, lost, missing), then the reply of claim
-- ERRORS  SANDQ_INVALID
-- EVENTS  completed, failed, cancelled, retry-scheduled, released, active, waiting, removed, drained,
--         rate-limited
-- include: clock
-- include: settle
-- include: claim_next
if (#ARGV - 5) % Settle.WIDTH ~= 0 then
  return redis.error_reply('SANDQ_INVALID each settlement takes ' .. Settle.WIDTH .. ' values')
end
local now = Clock.now(ARGV[1])
local statuses = Settle.all(now, 6)
if statuses.err then
  return statuses
end

return { statuses, ClaimNext.take(now, tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])) }

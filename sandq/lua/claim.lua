-- claim: take up to n waiting jobs under a token, after promoting those that are due
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, n, token, worker, lease_ms
-- REPLY   now, lease end, next due or -1, jobs left waiting, then for each job a list of
--         id, name, data, opts, attempts, stalls, priority, created
-- ERRORS  none
-- EVENTS  active, waiting
-- include: clock
-- include: claim_next
return ClaimNext.take(Clock.now(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5]))

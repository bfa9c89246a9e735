-- heed: which running jobs are to be stopped
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    none
-- REPLY   a flat list of id and reason (the time in ms, a space, text)
-- ERRORS  none
-- EVENTS  none
-- include: keys
return redis.call('HGETALL', Keys.cancelling)

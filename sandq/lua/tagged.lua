-- tagged: the jobs that bear a tag
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    tag
-- REPLY   their ids, in no order
-- ERRORS  none
-- EVENTS  none
-- include: keys
return redis.call('SMEMBERS', Keys.tag(ARGV[1]))

-- open: which layout the queue's data has; looking at a queue does not make one
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    none
-- REPLY   the number of the layout, nil while there is no job yet
-- ERRORS  none
-- EVENTS  none
-- include: keys
return redis.call('HGET', Keys.meta, 'layout')

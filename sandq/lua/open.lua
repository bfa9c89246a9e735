-- open: mark a new queue with the layout of its data, or learn that of an old one
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    layout
-- REPLY   the layout number the queue's data has
-- ERRORS  none
-- EVENTS  none
-- include: keys
redis.call('HSETNX', Keys.meta, 'layout', ARGV[1])

return redis.call('HGET', Keys.meta, 'layout')

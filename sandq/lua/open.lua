-- open: which layout the queue's data has, and its settings; looking does not make a queue
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    none
-- REPLY   the number of the layout, nil while there is nothing yet; the version of the settings,
--         0 if none were made; the settings as JSON text, nil for the defaults
-- ERRORS  none
-- EVENTS  none
-- include: keys
local f = redis.call('HMGET', Keys.meta, 'layout', 'version', 'settings')

return { f[1], f[2] or '0', f[3] }

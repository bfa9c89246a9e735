-- pause: no job of the queue is claimed until it is resumed
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    on (1 to pause, 0 to resume)
-- REPLY   1 if that changed anything, else 0
-- ERRORS  none
-- EVENTS  paused, resumed
-- include: keys
-- include: events
-- include: wake
local changed
if ARGV[1] == '1' then
  changed = redis.call('HSETNX', Keys.meta, 'paused', '1')
  redis.call('HSETNX', Keys.meta, 'layout', Keys.LAYOUT)
else
  changed = redis.call('HDEL', Keys.meta, 'paused')
  Wake.ring()
end
if changed == 1 and ARGV[1] == '1' then
  Events.emit('paused', '')
elseif changed == 1 then
  Events.emit('resumed', '')
end

return changed

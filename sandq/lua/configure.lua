-- configure: the queue gets new settings, in place of all it had
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, text (the settings as JSON; empty: the defaults), then for each setting that scripts
--         obey: field, value
-- REPLY   the version of the settings
-- ERRORS  SANDQ_INVALID
-- EVENTS  configured
-- include: keys
-- include: clock
-- include: events
-- include: wake
local OBEYED = {
  'concurrency', 'group_concurrency', 'rate_max', 'rate_ms', 'rate_group', 'rate_bounce', 'max_size', 'max_delay',
  'points',
}
local known = {}
for _, field in ipairs(OBEYED) do
  known[field] = true
end
if #ARGV % 2 ~= 0 then
  return redis.error_reply('SANDQ_INVALID settings come in pairs of field and value')
end
for i = 3, #ARGV, 2 do
  if not known[ARGV[i]] or not tonumber(ARGV[i + 1]) then
    return redis.error_reply('SANDQ_INVALID no such setting: ' .. ARGV[i] .. ' = ' .. ARGV[i + 1])
  end
end

redis.call('HDEL', Keys.meta, 'settings', unpack(OBEYED))
if ARGV[2] ~= '' then
  redis.call('HSET', Keys.meta, 'settings', ARGV[2], unpack(ARGV, 3))
end
redis.call('HSETNX', Keys.meta, 'layout', Keys.LAYOUT)
-- a moment, so that a queue which is made anew never has a version that somebody still knows
local before = tonumber(redis.call('HGET', Keys.meta, 'version')) or 0
local version = Clock.text(math.max(Clock.now(ARGV[1]), before + 1))
redis.call('HSET', Keys.meta, 'version', version)
Events.emit('configured', '', 'version', version)
-- limits may have been lifted
Wake.ring()

return version

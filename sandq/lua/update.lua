-- update: a job gets other data
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    id, data
-- REPLY   1, or 0 if there is no such job
-- ERRORS  none
-- EVENTS  updated
-- include: keys
-- include: events
-- include: pieces
if redis.call('EXISTS', Keys.job(ARGV[1])) == 0 then
  return 0
end
Pieces.replace(ARGV[1], ARGV[2])
Events.emit('updated', ARGV[1])

return 1

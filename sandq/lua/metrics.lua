-- metrics: how many jobs ended in each minute
-- KEYS    the queue's keys, in the order of sandq/store/keys.py
-- ARGV    now, state (completed or failed)
-- REPLY   now, how many in all, then a flat list of minute (since 1970) and number
-- ERRORS  none
-- EVENTS  none
-- include: keys
-- include: clock
return {
  Clock.text(Clock.now(ARGV[1])), redis.call('HGET', Keys.totals, ARGV[2]) or '0',
  redis.call('HGETALL', Keys.metrics(ARGV[2])),
}

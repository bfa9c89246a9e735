-- keys: the keys of one queue, in the order of sandq/store/keys.py
local Keys = {
  waiting = KEYS[1],
  delayed = KEYS[2],
  active = KEYS[3],
  completed = KEYS[4],
  failed = KEYS[5],
  cancelled = KEYS[6],
  meta = KEYS[7],
  wake = KEYS[8],
  events = KEYS[9],
}
-- every key of a queue shares its hash tag, so the keys made here are in the same cluster slot
Keys.base = string.sub(KEYS[1], 1, -string.len('waiting') - 1)
-- any other name is a key of its own: parked, windows, expiry, cancelling, groups, kinds, totals,
-- workers, and repeat as `series`; made when it is asked for, for every call runs this
setmetatable(Keys, {
  __index = function(keys, name)
    local key = keys.base .. (name == 'series' and 'repeat' or name)
    rawset(keys, name, key)

    return key
  end,
})

-- the number of this layout; a queue gets it with its first job
Keys.LAYOUT = 1

function Keys.job(id)
  return Keys.base .. 'job:' .. id
end

function Keys.logs(id)
  return Keys.base .. 'logs:' .. id
end

function Keys.emitted(id)
  return Keys.base .. 'emitted:' .. id
end

function Keys.failures(id)
  return Keys.base .. 'failures:' .. id
end

function Keys.tag(tag)
  return Keys.base .. 'tag:' .. tag
end

function Keys.dedup(key)
  return Keys.base .. 'dedup:' .. key
end

-- the window of the whole queue, or of one group
function Keys.limiter(group)
  return Keys.base .. 'limiter' .. (group and ':' .. group or '')
end

function Keys.one_series(key)
  return Keys.base .. 'repeat:' .. key
end

function Keys.metrics(kind)
  return Keys.base .. 'metrics:' .. kind
end

function Keys.worker(worker)
  return Keys.base .. 'worker:' .. worker
end

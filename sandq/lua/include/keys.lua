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

-- the number of this layout; a queue gets it with its first job
Keys.LAYOUT = 1

function Keys.job(id)
  return Keys.base .. 'job:' .. id
end

function Keys.logs(id)
  return Keys.base .. 'logs:' .. id
end

-- census: jobs are counted by a field, and a counter of the queue is compared with that
-- include: keys
-- include: tally
-- include: findings
local Census = {}

-- How many of these jobs have which value of a field, added to `counts`. Those without the field
-- count as `without`, or not at all; so do not those whose hash is gone.
function Census.count(ids, field, without, counts)
  for _, id in ipairs(ids) do
    local f = redis.call('HMGET', Keys.job(id), field, 'place')
    local value = f[1] or without
    if f[2] and value then
      counts[value] = (counts[value] or 0) + 1
    end
  end

  return counts
end

-- Both counters change as jobs move, so the difference is added, whatever they hold by then.
function Census.compare(name, counts, what, problem, fix)
  local key = Keys[name]
  local stored = redis.call('HGETALL', key)
  for i = 1, #stored, 2 do
    counts[stored[i]] = counts[stored[i]] or 0
  end
  for value, number in pairs(counts) do
    local told = tonumber(redis.call('HGET', key, value)) or 0
    if told ~= number then
      Findings.add(problem, name .. ' ' .. value, number .. ' ' .. what .. ', it says ' .. told, fix)
      if fix then
        Tally.add(key, value, number - told)
      end
    end
  end
end

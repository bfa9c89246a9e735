-- record: the fields of a job's hash, as an audit reads them
-- include: keys
local Record = {}

local FIELDS = {
  'name', 'created', 'place', 'state', 'priority', 'token', 'due', 'finished', 'kind', 'group',
  'tags', 'dedup', 'dedup_ttl', 'expires', 'cancel', 'discard', 'extra', 'retried', 'repeat',
}
-- numbers that a job need not have
local NUMBERS = { 'priority', 'due', 'finished', 'expires' }
local PLACE = '^%x%x%x%x%x%x%x%x%x%x%x%x%x%x$'

-- A job as a table of its fields, or nil if there is none. Missing fields are nil, but for the state.
function Record.read(id)
  local key = Keys.job(id)
  local values = redis.call('HMGET', key, unpack(FIELDS))
  if not values[1] and redis.call('EXISTS', key) == 0 then
    return nil
  end
  local job = { id = id }
  for i, field in ipairs(FIELDS) do
    job[field] = values[i] or nil
  end
  job.state = job.state or 'waiting'

  return job
end

function Record.is_place(text)
  return text and string.find(text, PLACE)
end

-- The tags of a job that has some, nil if they cannot be read.
function Record.tags(job)
  local ok, tags = pcall(cjson.decode, job.tags)
  if not ok or type(tags) ~= 'table' then
    return nil
  end
  for _, tag in ipairs(tags) do
    if type(tag) ~= 'string' then
      return nil
    end
  end

  return tags
end

-- The fields that cannot be read, or that every job has and this one has not; nil if all is right.
-- Afterwards what is a number is one.
function Record.unreadable(job)
  local wrong
  local function add(field)
    wrong = wrong or {}
    wrong[#wrong + 1] = field
    wrong[field] = true
  end

  if not job.name then
    add('name')
  end
  if redis.call('HEXISTS', Keys.job(job.id), 'data') == 0 then
    add('data')
  end
  if not tonumber(job.created) then
    add('created')
  end
  if not Record.is_place(job.place) then
    add('place')
  end
  for _, field in ipairs(NUMBERS) do
    local number = tonumber(job[field])
    if job[field] and not number then
      add(field)
    end
    job[field] = number
  end
  if job.tags and not Record.tags(job) then
    add('tags')
  end

  return wrong
end

-- history: the failure records of a job's earlier attempts, oldest first
-- include: keys
local History = {}

-- as many as anybody may ask for (MAX_STACK_TRACES in sandq/model/stored_options.py)
History.MOST = 1000

-- The record of the last failure goes to those before it, of which the newest so many stay.
function History.keep(id, kept)
  local key = Keys.failures(id)
  if kept == 0 then
    -- an empty range: nothing stays
    redis.call('LTRIM', key, 1, 0)
    return
  end

  local record = redis.call('HGET', Keys.job(id), 'failure')
  if record then
    redis.call('RPUSH', key, record)
  end
  if record or kept < History.MOST then
    redis.call('LTRIM', key, -kept, -1)
  end
end

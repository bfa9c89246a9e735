-- pieces: a job's data, cut so that the hash of a small job stays small
-- include: keys
--
-- Redis keeps a hash in one compact block as long as no value is longer than 64 bytes
-- (hash-max-listpack-value); one longer value doubles the memory of a waiting job. Data of up to
-- 512 bytes is therefore kept in pieces: `data`, `data1` and so on. Longer data is kept whole.
local Pieces = {}

local SIZE = 64
local MOST = 8

-- made only when it is needed: most calls see no job with pieces
local function names()
  return 'data1', 'data2', 'data3', 'data4', 'data5', 'data6', 'data7'
end

-- Append the fields for some data to a flat list.
function Pieces.put(fields, data)
  fields[#fields + 1] = 'data'
  if #data <= SIZE or #data > MOST * SIZE then
    fields[#fields + 1] = data
    return
  end

  fields[#fields + 1] = string.sub(data, 1, SIZE)
  for i = 1, math.ceil(#data / SIZE) - 1 do
    fields[#fields + 1] = 'data' .. i
    fields[#fields + 1] = string.sub(data, i * SIZE + 1, (i + 1) * SIZE)
  end
end

-- The data of a job whose field `data` is `first`.
function Pieces.get(id, first)
  if not first or #first ~= SIZE then
    return first
  end

  local rest = redis.call('HMGET', Keys.job(id), names())
  for _, piece in ipairs(rest) do
    if not piece then
      break
    end
    first = first .. piece
  end

  return first
end

-- Give a job other data.
function Pieces.replace(id, data)
  local fields = {}
  Pieces.put(fields, data)
  redis.call('HDEL', Keys.job(id), names())
  redis.call('HSET', Keys.job(id), unpack(fields))
end

-- sets: changes of sorted sets, gathered and written at once
-- include: keys
--
-- One command per set, so that a batch of jobs costs no more commands than one job.
local Sets = {}

-- Lua's unpack takes some 8,000 values
local CHUNK = 4000
local adds = {}
local drops = {}

local function gather(lists, set, first, second)
  local list = lists[set]
  if not list then
    list = {}
    lists[set] = list
  end
  list[#list + 1] = first
  if second then
    list[#list + 1] = second
  end
end

function Sets.add(set, score, member)
  gather(adds, set, score, member)
end

function Sets.drop(set, member)
  gather(drops, set, member)
end

local function write(command, lists)
  for set, list in pairs(lists) do
    for from = 1, #list, CHUNK do
      redis.call(command, Keys[set], unpack(list, from, math.min(from + CHUNK - 1, #list)))
    end
    lists[set] = nil
  end
end

-- A member that is dropped and added is there in the end.
function Sets.write()
  write('ZREM', drops)
  write('ZADD', adds)
end

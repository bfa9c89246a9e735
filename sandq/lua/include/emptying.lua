-- emptying: jobs of a set go, with all that is kept of them
-- include: keys
-- include: move
local Emptying = {}

local ID_OF = { waiting = Move.placed_id, delayed = Move.placed_id, parked = Move.parked_id }

-- At most so many jobs of a set; how many went, and how many are left.
function Emptying.drop(set, most)
  local members = most > 0 and redis.call('ZRANGE', Keys[set], 0, most - 1) or {}
  for _, member in ipairs(members) do
    local job = Move.read(ID_OF[set] and ID_OF[set](member) or member)
    if job then
      Move.remove(job, job.state)
    end
    Move.forget(member, set)
  end
  Move.flush()

  return #members, redis.call('ZCARD', Keys[set])
end

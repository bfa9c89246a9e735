-- findings: what an audit has found, in the words of sandq/store/problems.py
local Findings = {}

local found = {}

function Findings.add(problem, subject, detail, fixed)
  found[#found + 1] = { problem, subject, detail, fixed and 1 or 0 }
end

-- The reply of a script: what else it has to say, then the findings.
function Findings.reply(...)
  local reply = { ... }
  for _, finding in ipairs(found) do
    reply[#reply + 1] = finding
  end

  return reply
end

#!/usr/bin/env lua
-- Lua. data -> data; {"fail": message} -> an error
-- Lua has no JSON of its own: a member is found in its object and its text left as it is.

-- The text of the member `name` of an object, or nil.
local function member(object, name)
  local depth, quoted, start, found, value = 0, false, nil, nil, nil
  local at = object:find('[\\"%[%]{},:]')
  while at do
    local sign = object:sub(at, at)
    if sign == "\\" then
      at = at + 1 -- what is escaped does not end its string
    elseif sign == '"' then
      quoted = not quoted
      if quoted then start = at + 1 elseif not value then found = object:sub(start, at - 1) end
    elseif quoted then -- a string may hold any sign
    elseif sign == "[" or sign == "{" then
      depth = depth + 1
    elseif sign == ":" then
      if depth == 1 then value = at + 1 end
    else -- a comma, or the end of an array or object
      if depth == 1 and value and found == name then return object:sub(value, at - 1) end
      if depth == 1 then value = nil end
      if sign ~= "," then depth = depth - 1 end
    end
    at = object:find('[\\"%[%]{},:]', at + 1)
  end
end

for line in io.lines() do
  local data = member(line, "data")
  local fail = member(data, "fail")
  io.write(fail and '{"status":"error","error":{"type":"Asked","message":' .. fail .. "}}\n"
    or '{"status":"ok","result":' .. data .. "}\n")
  io.flush()
end

-- clock: milliseconds since 1970, by the server unless the caller (a test) gives the time
local Clock = {}

function Clock.now(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = redis.call('TIME')

  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Lua would write 1700000000000 as 1.7e+12
function Clock.text(ms)
  return string.format('%.0f', ms)
end

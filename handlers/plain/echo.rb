#!/usr/bin/env ruby
# Ruby at the full level. data -> data; {"fail": message} -> an error
require "json"

$stdin.set_encoding("UTF-8") # whatever the locale is
$stdout.sync = true # flush every line

def tell(type, **members) = puts(JSON.generate({ sandq: 1, type:, **members }))

tell "hello", version: 1, caps: %w[progress log ping]
$stdin.each_line do |line|
  message = JSON.parse(line)
  id, data = message.values_at("id", "data")

  case message["type"]
  when "job"
    tell "progress", id:, value: 0.5
    tell "log", id:, message: "attempt #{message["attempt"]}"
    if data.is_a?(Hash) && data.key?("fail")
      tell "result", id:, status: "error", error: { type: "Asked", message: data["fail"] }
    else
      tell "result", id:, status: "ok", result: data
    end
  when "ping" then tell "pong", n: message["n"]
  else tell "fatal", error: "no idea what #{message["type"]} means" if message["must"]
  end
end

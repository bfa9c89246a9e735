#!/usr/bin/env bun
// Bun. data -> data; {"fail": message} -> an error

let rest = "";
for await (const chunk of Bun.stdin.stream().pipeThrough(new TextDecoderStream())) {
  const lines = (rest + chunk).split("\n");
  rest = lines.pop();
  for (const line of lines) {
    const { data } = JSON.parse(line);
    const error = data?.fail !== undefined && { type: "Asked", message: data.fail };
    console.log(JSON.stringify(error ? { status: "error", error } : { status: "ok", result: data }));
  }
}

#!/usr/bin/env node
// Node. data -> data; {"fail": message} -> an error
// A readline interface would be shorter; some of them end a line at U+2028, which JSON may hold.

let rest = "";
process.stdin.setEncoding("utf8");
for await (const chunk of process.stdin) {
  const lines = (rest + chunk).split("\n");
  rest = lines.pop();
  for (const line of lines) {
    const { data } = JSON.parse(line);
    const error = data?.fail !== undefined && { type: "Asked", message: data.fail };
    console.log(JSON.stringify(error ? { status: "error", error } : { status: "ok", result: data }));
  }
}

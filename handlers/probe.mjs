#!/usr/bin/env node
// Tell what a file is: its type by its first bytes, its size and its SHA-256.
// data: {"path": path}
// result: {"sha256": hex, "type": one of the names below, "text" or "binary", "bytes": size}

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";

const signatures = Object.entries({ // of the first bytes, in hex
  jpeg: /^ffd8ff/, png: /^89504e470d0a1a0a/, gif: /^47494638/, webp: /^52494646.{8}57454250/,
  pdf: /^255044462d/, zip: /^504b0[35]0[46]/, gzip: /^1f8b/, mp4: /^.{8}66747970/, elf: /^7f454c46/,
});

function typeOf(start) {
  const hex = start.toString("hex", 0, 16);
  const [type] = signatures.find(([, signature]) => signature.test(hex)) ?? [];
  return type ?? (start.includes(0) ? "binary" : "text");
}

async function probe({ data }) {
  if (typeof data?.path !== "string") throw new TypeError('data needs a path: {"path": "cat.jpg"}');
  const hash = createHash("sha256");
  let [bytes, type] = [0, "text"]; // an empty file is a text
  for await (const chunk of createReadStream(data.path)) {
    if (bytes === 0) type = typeOf(chunk);
    bytes += chunk.length;
    hash.update(chunk);
  }
  return { sha256: hash.digest("hex"), type, bytes };
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await Promise.resolve(line).then(JSON.parse).then(probe).then(
    (result) => ({ status: "ok", result }),
    ({ name: type, message, code, stack }) => ({ status: "error", error: { type, message, code, stack } }),
  );
  console.log(JSON.stringify(answer));
}

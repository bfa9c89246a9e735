#!/usr/bin/env node
// Tell the SHA-256 of every file in a folder, each as soon as it is known.
// data: {"folder": path}
// emits: {"file": name, "sha256": hex} for each file
// result: {"files": number, "complete": false when it was told to end early}

import { serve, Unrecoverable } from "./sdk/sandq.mjs";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";

serve(async (job) => {
  const folder = job.data?.folder;
  if (typeof folder !== "string") throw new Unrecoverable('data needs a folder: {"folder": "."}');
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort();

  let files = 0;
  for (const name of names) {
    const hash = createHash("sha256");
    try {
      await pipeline(createReadStream(join(folder, name)), hash, { signal: job.signal });
    } catch (error) {
      if (!job.signal.aborted) throw error;
      job.log("ended early", { reason: job.signal.reason.reason });
      return { files, complete: false };
    }
    job.emit({ file: name, sha256: hash.digest("hex") });
    job.progress(++files / names.length);
  }
  return { files, complete: true };
});

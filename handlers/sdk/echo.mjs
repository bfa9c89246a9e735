#!/usr/bin/env node
// data -> data; {"fail": message} -> an error; and what spec/conformance.md asks for, by its word.

import { serve, RetryLater, Unrecoverable } from "./sandq.mjs";

const asked = {
  progress: (job) => job.progress(0.5),
  log: (job) => job.log("as asked", { level: "warning", n: 1 }),
  emit: (job) => job.emit([1, "two"]),
  heartbeat: (job) => job.heartbeat(),
  wait_for_cancel: ({ signal }) =>
    signal.aborted || new Promise((resolve) => signal.addEventListener("abort", resolve)),
  async call(job) {
    return { value: await job.call(job.data.verb, job.data.args) };
  },
  retry_later({ data }) {
    throw new RetryLater(data.retry_after_ms / 1000);
  },
  unrecoverable() {
    throw new Unrecoverable("as asked");
  },
};

serve(async (job) => {
  if (job.data?.fail !== undefined) throw new Error(job.data.fail);
  const word = job.data?.sandq_test;
  const done = Object.hasOwn(asked, word) ? await asked[word](job) : undefined;
  return done?.value === undefined ? job.data : done.value;
});

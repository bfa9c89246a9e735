// @ts-check
/**
 * Handlers in Node 18 or later: write a function that takes a job, and serve it.
 *
 *     import { serve } from "./sdk/sandq.mjs"; // the first import of the program: see 2.
 *
 *     serve(async (job) => ({ width: job.data.width }));
 *
 * 1. A job is a line on descriptor 0, its answer a line on descriptor 1, or on the descriptor
 *    that SANDQ_FD names; with SANDQ_RESULT_FILE the answer is what that file holds.
 * 2. Importing this module under sandq, and `serve` elsewhere, moves the conversation to private
 *    descriptors. From then on descriptor 0 is empty, and what the program, native code and the
 *    programs it starts print to descriptor 1 goes to standard error.
 *    Where that cannot be done (no Linux, no /proc, streams that are sockets) `process.stdout`
 *    and `console` still write to standard error, but native code, `fs.writeSync(1)` and programs
 *    started with `stdio: "inherit"` do not: choose the channel fd3 for such a handler.
 * 3. Whatever a job throws is its answer. So is what nothing catches, an unhandled rejection for
 *    instance; but then the process ends with code 1 afterwards, for its state is unknown.
 * 4. A value that is not JSON, or is too long for a line, is an error that says so. Numbers are
 *    doubles; a BigInt beyond ±(2^53 - 1) is sent as a string, as the protocol wants it.
 */

import { closeSync, constants, fstatSync, openSync, writeFileSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { inspect } from "node:util";
import { isMainThread } from "node:worker_threads";

const environment = process.env;

/** Longest line sandq reads, in bytes without its newline. */
const MAX_LINE = Number(environment.SANDQ_MAX_LINE) || 1024 * 1024;

/** Longest text of an error, in characters: one may take six bytes, and two texts share a line. */
const MAX_TEXT = Math.min(16 * 1024, Math.floor(MAX_LINE / 16));

/** Deepest nesting of a line: 64 for a value, one for the message around it. */
const MAX_DEPTH = 65;

/** Errors behind an error that are told, one behind the other. */
const MAX_CAUSES = 4;

/** How long the program may go on after the end of its input, in ms. */
const LAST_MS = 1_000;

const HELLO =
  '{"sandq":1,"type":"hello","version":1,"sdk":"node",' +
  '"caps":["cancel","progress","log","heartbeat","emit","call","ping","welcome"]}\n';

const HALF_A_PAIR = /\p{Surrogate}/gu; // with the flag u it passes over whole pairs

/** Lines of a stack that tell of this module, and of Node itself. */
const NOT_OF_THE_USER = new RegExp(`^ +at .*(node:|${import.meta.url.replace(/\W/g, "\\$&")})`);

// --- what a job may throw -----------------------------------------------------------------------

/** Throw it to fail the job for good, whatever attempts it has left. */
export class Unrecoverable extends Error {
  static {
    this.prototype.name = "Unrecoverable";
  }
  retryable = false;
}

/** Throw it to fail this attempt and to say when the next one is worth making. */
export class RetryLater extends Error {
  static {
    this.prototype.name = "RetryLater";
  }

  /**
   * @param {number} delayS seconds until then; it stands in for the job's own backoff
   * @param {string} [message] why
   * @param {{cause?: unknown}} [options]
   */
  constructor(delayS, message = "retry later", options) {
    if (!(delayS >= 0 && delayS < 2 ** 40)) {
      throw new RangeError(`delayS is a number of seconds from 0 up, not ${inspect(delayS)}`);
    }
    super(message, options);
    this.retryAfterMs = Math.round(delayS * 1000);
  }
}

/** A value cannot be sent: it is not JSON, or it is too long for a line. */
export class InvalidValue extends TypeError {
  static {
    this.prototype.name = "InvalidValue";
  }
}

/** The reason of `job.signal`: the job is to end, and has `graceMs` to do so. */
export class Cancelled extends Error {
  static {
    this.prototype.name = "Cancelled";
  }

  /** @param {"timeout" | "cancel" | "shutdown"} reason @param {number | null} graceMs */
  constructor(reason, graceMs) {
    const why = { timeout: "it has run out of time", cancel: "it was cancelled" };
    super(`the job is to end: ${why[/** @type {"timeout"} */ (reason)] ?? reason}`);
    this.reason = reason;
    this.graceMs = graceMs;
  }
}

/** A call was not carried out. Its `code` is "sandq.not_allowed", "sandq.unknown_verb",
 *  "sandq.bad_args", "sandq.busy", or "sandq.failed", also when nobody will reply. */
export class CallRefused extends Error {
  static {
    this.prototype.name = "CallRefused";
  }

  /** @param {string} message @param {string} [code] */
  constructor(message, code = "sandq.failed") {
    super(message);
    this.code = code;
  }
}

// --- the job ------------------------------------------------------------------------------------

/**
 * One attempt at one job.
 *
 * To test a function of yours make one as sandq does: `new Job({ id: "1", data: {…} })`.
 * Outside `serve`, and when its answer is given, what a job tells goes nowhere.
 * @template [Data=any]
 */
export class Job {
  /** @type {AbortSignal} */ #signal;
  #mayBeAsked = false;

  /**
   * @param {Record<string, any>} message the job line
   * @param {AbortSignal} [signal]
   */
  constructor(message, signal = new AbortController().signal) {
    /** @type {string} */ this.id = message.id ?? "";
    /** @type {string} */ this.name = message.name ?? "";
    /** @type {string} */ this.queue = message.queue ?? "";
    /** What was added to the queue. @type {Data} */ this.data = message.data ?? null;
    /** The options it was added with. @type {Record<string, any>} */
    this.opts = message.opts ?? {};
    /** Which attempt this is, from 1. @type {number} */ this.attempt = message.attempt ?? 1;
    /** How many there may be. @type {number} */ this.maxAttempts = message.max_attempts ?? 1;
    /** When it was added, ms since 1970. @type {number | null} */
    this.timestampMs = message.timestamp ?? null;
    /** How long this attempt may take; null: no limit. @type {number | null} */
    this.timeoutMs = message.timeout_ms ?? null;
    /** A sign of life is due this often; null: none is. @type {number | null} */
    this.heartbeatMs = message.heartbeat_ms ?? null;
    this.#signal = signal;
  }

  /** Aborted when the job is to end early; its `reason` is a `Cancelled`. A handler that never
   *  looks at it is ended with its process instead. */
  get signal() {
    this.#mayBeAsked = true;
    return this.#signal;
  }

  /** Whether the handler has looked at `job.signal`. */
  get mayBeAsked() {
    return this.#mayBeAsked;
  }

  /** Tell how far the job is: any JSON value, a fraction from 0 to 1 for instance.
   *  @param {unknown} value */
  progress(value) {
    tell(this, "progress", { value: value === undefined ? null : value });
  }

  /** Give a part of the result, readable while the job runs: any JSON value.
   *  @param {unknown} chunk */
  emit(chunk) {
    tell(this, "emit", { chunk: chunk === undefined ? null : chunk });
  }

  /** Say that the job is alive. All else that it tells says so too. */
  heartbeat() {
    tell(this, "heartbeat", {});
  }

  /**
   * Add a row to the log of the job. A row never fails a job: fields that are not JSON are kept
   * as one text.
   * @param {unknown} message
   * @param {{level?: "debug" | "info" | "warning" | "error", [field: string]: unknown}} [fields]
   */
  log(message, { level = "info", ...fields } = {}) {
    const row = { level: shown(level).slice(0, 100), message: shown(message) };
    try {
      tell(this, "log", { ...row, fields });
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      tell(this, "log", { ...row, fields: { text: shown(fields) } });
    }
  }

  /**
   * Ask sandq for something that the handler is allowed (its option `calls`). Calls made at the
   * same time are sent one after the other, and the job's answer after the last of them.
   * @param {string} verb
   * @param {object} [args]
   * @returns {Promise<any>} rejected with CallRefused, or with `signal.reason`
   */
  call(verb, args = {}) {
    const reply = calls.then(() => ask(this, verb, args));
    calls = reply.catch(() => {});
    return reply;
  }

  /** The verbs that the handler may call; null as long as sandq has not told them.
   *  @returns {string[] | null} */
  get calls() {
    return allowed;
  }

  /** Put other data in the place of the job's. @param {Data} data */
  async updateData(data) {
    await this.call("update_data", { data });
    this.data = data;
  }

  /**
   * Add a job to the same queue.
   * @param {string} name
   * @param {unknown} [data]
   * @param {{attempts?: number, delayMs?: number, priority?: number, jobId?: string,
   *   timeoutMs?: number}} [options]
   * @returns {Promise<string>} its id
   */
  async addJob(name, data = null, options = {}) {
    const opts = Object.entries(options).map(([option, value]) => [
      option.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]);
    return (await this.call("add_job", { name, data, opts: Object.fromEntries(opts) })).id;
  }

  /** State and result of another job of the queue. @param {string} id
   *  @returns {Promise<{state: string, value: any}>} */
  getResult(id) {
    return this.call("get_result", { id });
  }

  /** Move the end of the job's time to `ms` from now. @param {number} ms
   *  @returns {Promise<number | null>} how long the attempt may now take */
  async extendTimeout(ms) {
    this.timeoutMs = (await this.call("extend_timeout", { ms })).timeout_ms;
    return this.timeoutMs;
  }
}

// --- the conversation ---------------------------------------------------------------------------

/** @type {((job: Job<any>) => unknown) | undefined} */
let handler;

/** @type {Record<string, any>[]} job lines that came while a job was at work */
const waiting = [];

/** @type {{job: Job, cancel: AbortController} | null} the job at work */
let work = null;

/** The call that is waiting for its reply, and the end of all calls made so far. */
/** @type {{re: number, verb: string, resolve: (value: any) => void,
 *    reject: (error: Error) => void} | null} */
let pending = null;
let calls = Promise.resolve();
let lastCall = 0;

/** @type {string[] | null} what the handler may call */
let allowed = null;

let isInputOver = false;
let hasEnded = () => {};

/**
 * Serve jobs with `handle` until sandq closes the input; the promise is resolved then. What
 * keeps the program from ending has a second left, then the program is ended.
 *
 * An error's `code` (string or integer), `data` (any JSON value), `retryable` (boolean),
 * `retryAfterMs` (number) and `cause` are recorded with the failure when it has them.
 * @template [Data=any]
 * @param {(job: Job<Data>) => unknown} handle takes a job and returns any JSON value, or a
 *   promise of it, or throws
 * @returns {Promise<void>}
 */
export function serve(handle) {
  if (!isMainThread) throw new Error("only the main thread can serve jobs");
  if (handler) throw new Error("serve was called before: a process serves one function");
  handler = handle;

  if (!areTaken) takeStreams();
  process.on("uncaughtException", endBadly);
  process.on("beforeExit", endStuck);
  send(Buffer.from(HELLO));

  let parts = /** @type {Buffer[]} */ ([]);
  const source =
    privateInput < 0 ? process.stdin : new Socket({ fd: privateInput, readable: true });
  source.on("data", (/** @type {Buffer} */ chunk) => {
    let from = 0;
    for (let to; (to = chunk.indexOf("\n", from)) >= 0; from = to + 1) {
      receive(Buffer.concat([...parts, chunk.subarray(from, to)]), source);
      parts = [];
    }
    parts.push(chunk.subarray(from));
  });
  const end = () => {
    receive(Buffer.concat(parts), source);
    parts = [];
    RECEIVED.bye({}, source);
  };
  source.on("end", end).on("error", end);

  return new Promise((resolve) => (hasEnded = resolve));
}

/** What is done about a message, by its type. */
/** @type {Record<string, (message: any, source: any) => void>} */
const RECEIVED = {
  job(message) {
    waiting.push(message);
    next();
  },
  cancel({ id, reason, grace_ms }) {
    if (work === null || work.job.id !== id) return; // it came too late
    if (!work.job.mayBeAsked && pending === null) {
      // nobody listens: what would come of the grace is nothing, so it ends as without a word
      process.kill(process.pid, "SIGTERM");
      return;
    }
    const cancelled = new Cancelled(reason, grace_ms ?? null);
    work.cancel.abort(cancelled);
    pending?.reject(cancelled);
  },
  reply({ re, ok, value, error }) {
    if (pending?.re !== re) return;
    if (ok) pending?.resolve(value);
    else pending?.reject(new CallRefused(`${pending.verb}: ${error?.message}`, error?.type));
  },
  ping({ n }) {
    send(line({ sandq: 1, type: "pong", n }));
  },
  welcome(message) {
    allowed = message.calls ?? null; // the limits in it are known from the environment
  },
  bye(_, source) {
    isInputOver = true;
    source.destroy();
    pending?.reject(new CallRefused(`${pending.verb}: the input has ended, no reply will come`));
    next();
  },
};

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** @param {Buffer} bytes @param {any} source */
function receive(bytes, source) {
  let message;
  try {
    const text = utf8.decode(bytes);
    if (isInputOver || text.trim() === "") return;
    message = JSON.parse(text);
  } catch {
    message = null;
  }
  if (message === null || typeof message !== "object" || Array.isArray(message)) {
    const start = shown(bytes.toString("utf8", 0, 200));
    giveUp(`the input has a line that is no JSON object: ${inspect(start)}`);
  }

  const type = "sandq" in message ? message.type : "job";
  if (Object.hasOwn(RECEIVED, type)) RECEIVED[type](message, source);
  else if (message.must === true) {
    giveUp(`sandq asks for ${inspect(type)}, which version 1 of the protocol does not have`);
  }
}

/** Begin the next job, or end when there will be none. */
function next() {
  if (work) return;
  const message = waiting.shift();
  if (message) {
    const cancel = new AbortController();
    work = { job: new Job(message, cancel.signal), cancel };
    run(work.job);
  } else if (isInputOver) {
    hasEnded();
    setTimeout(() => process.exit(), LAST_MS).unref();
  }
}

/** @param {Job} job */
async function run(job) {
  let answer;
  try {
    const value = await handler?.(job);
    answer = line(result(job, { status: "ok", result: value === undefined ? null : value }));
  } catch (error) {
    answer = failure(job, error);
  }
  // What the job has left undone still belongs to it: its calls, and rejections that nobody
  // handles, which Node tells of only after this turn of its loop.
  await calls;
  await new Promise(setImmediate);
  conclude(answer);
  next();
}

/** @param {Buffer} answer */
function conclude(answer) {
  work = null;
  if (resultFile) writeFileSync(resultFile, answer);
  else send(answer);
}

/** The envelope of an answer: in a file there is nobody to name the job to.
 *  @param {Job} job @param {object} answer */
const result = (job, answer) =>
  resultFile ? answer : { sandq: 1, type: "result", id: job.id, ...answer };

/** An error that nothing has caught. @param {unknown} error */
function endBadly(error) {
  if (process.listenerCount("uncaughtException") > 1) return; // the program has a way of its own
  try {
    writeSync(2, `nothing caught this, so the process ends: ${inspect(error)}\n`);
  } catch {} // standard error may be closed
  if (work) conclude(failure(work.job, error));
  else if (!isInputOver) {
    const { type, message, stack } = describe(error);
    send(line({ sandq: 1, type: "fatal", error: { type, message, stack } }));
  }
  process.exit(1);
}

/** Node has nothing left to wait for: a job still at work will never end by itself. */
function endStuck() {
  if (work) endBadly(new Error("the job waits for a promise that nothing is left to settle"));
}

/** @param {Job} job @param {string} verb @param {object} args @returns {Promise<any>} */
async function ask(job, verb, args) {
  job.signal.throwIfAborted();
  if (work?.job !== job || isInputOver || resultFile) {
    throw new CallRefused(`${verb}: nobody is there to reply, or the job has ended`);
  }

  const re = ++lastCall;
  send(line({ sandq: 1, type: "call", id: job.id, re, verb, args }));
  try {
    return await new Promise((resolve, reject) => (pending = { re, verb, resolve, reject }));
  } finally {
    pending = null;
  }
}

/** @param {Job} job @param {string} type @param {Record<string, any>} members */
function tell(job, type, members) {
  const bytes = line({ sandq: 1, type, id: job.id, ...members });
  if (work?.job !== job) return;
  send(bytes);
  if (resultFile && type === "log") console.error(`${members.level}: ${members.message}`);
}

/** The conversation cannot go on. @param {string} reason @returns {never} */
function giveUp(reason) {
  if (resultFile) console.error(reason);
  send(line({ sandq: 1, type: "fatal", error: { type: "ProtocolError", message: reason } }));
  process.exit(1);
}

// --- lines --------------------------------------------------------------------------------------

/** The message as a line. Throws InvalidValue only, whatever the value in it does.
 *  @param {Record<string, any>} message */
function line(message) {
  const what = message.type ?? "result";
  let bytes;
  try {
    bytes = Buffer.from(`${encode(message, "", 1)}\n`);
  } catch (error) {
    throw new InvalidValue(`${what} is not JSON: ${shown(error)}`);
  }

  const size = bytes.length - 1;
  if (size > MAX_LINE) {
    const told = `${what} is ${size} bytes as a line, more than the ${MAX_LINE} allowed`;
    throw new InvalidValue(`${told}: keep it in a file or a database, send where it is`);
  }
  return bytes;
}

/**
 * Strict JSON. JSON.stringify is not enough: it makes null of NaN, {} of a Map or a promise, and
 * sends half a surrogate pair and any nesting.
 * @param {any} value
 * @param {string} place where the value stands
 * @param {number} depth how many objects and arrays it would be in, itself included
 * @returns {string | undefined} undefined: JSON has no such value, and leaves it out
 */
function encode(value, place, depth) {
  if (typeof value?.toJSON === "function") value = value.toJSON("");
  const refuse = (/** @type {string} */ why) => {
    throw new TypeError(`${place.length > 80 ? `${place.slice(0, 80)}…` : place} ${why}`);
  };
  if (value instanceof Number || value instanceof String || value instanceof Boolean) {
    value = value.valueOf();
  }

  switch (typeof value) {
    case "string":
      if (value.search(HALF_A_PAIR) >= 0) refuse("has half a surrogate pair");
      return JSON.stringify(value);
    case "number":
      if (!Number.isFinite(value)) refuse(`is ${value}`);
      if (Object.is(value, -0)) return "-0";
      // With an exponent, others take it for the double that it is, and not for an exact integer.
      if (Number.isInteger(value) && !Number.isSafeInteger(value)) return value.toExponential();
      return String(value);
    case "bigint":
      return Number.isSafeInteger(Number(value)) ? String(value) : `"${value}"`;
    case "boolean":
      return String(value);
    case "object":
      break;
    default:
      if (depth === 2 && value !== undefined) refuse(`is a ${typeof value}`);
      return undefined;
  }
  if (value === null) return "null";
  if (depth > MAX_DEPTH) refuse(`is nested deeper than ${MAX_DEPTH - 1}, or in a circle`);

  if (Array.isArray(value)) {
    const items = Array.from(value, (item, n) => encode(item, `${place}[${n}]`, depth + 1));
    return `[${items.map((item) => item ?? "null").join(",")}]`;
  }

  const keys = Object.keys(value);
  const kind = Object.getPrototypeOf(value);
  if (keys.length === 0 && kind !== null && Object.getPrototypeOf(kind) !== null) {
    const hint = typeof value.then === "function" ? ": is an await missing?" : "";
    refuse(`is a ${value.constructor?.name}, which JSON has no form for${hint}`);
  }
  const members = [];
  for (const key of keys) {
    const text = encode(value[key], place ? `${place}.${key}` : key, depth + 1);
    if (text !== undefined) members.push(`${encode(key, `a key of ${place}`, depth)}:${text}`);
  }
  return `{${members.join(",")}}`;
}

/** The job's answer is this error; it always fits. @param {Job} job @param {unknown} error */
function failure(job, error) {
  const record = describe(error);
  for (const suspect of ["data", "cause", "code", "stack"]) {
    try {
      return line(result(job, { status: "error", error: record }));
    } catch {
      delete record[suspect]; // the error itself must arrive, if need be without its attributes
    }
  }
  return line(result(job, { status: "error", error: record }));
}

/** What is recorded of something thrown. @param {any} error @returns {Record<string, any>} */
function describe(error, causes = 0) {
  /** @type {Record<string, any>} */
  const record = { type: "Error", message: "" };
  try {
    const isError = typeof error?.message === "string";
    const { name, constructor } = isError ? error : { name: "Error", constructor: null };
    // A class that extends Error and says nothing of its name is still called Error.
    record.type = shown((name !== "Error" && name) || constructor?.name || "Error");
    record.message = shown(isError ? error.message || record.type : error);
    if (!isError) return record;

    const { code, cause = error.errors?.[0] } = error;
    if (typeof code === "string") record.code = shown(code);
    if (Number.isSafeInteger(code)) record.code = code;
    if (cause !== undefined && causes < MAX_CAUSES) record.cause = describe(cause, causes + 1);
    if (causes > 0) return record;

    if (typeof error.stack === "string") {
      const lines = /** @type {string[]} */ (error.stack.split("\n"));
      record.stack = shown(lines.filter((line) => !NOT_OF_THE_USER.test(line)).join("\n"));
    }
    if (typeof error.retryable === "boolean") record.retryable = error.retryable;
    const retryAfterMs = Math.round(error.retryAfterMs);
    if (Number.isSafeInteger(retryAfterMs) && retryAfterMs >= 0) {
      record.retry_after_ms = retryAfterMs;
    }
    if (error.data !== undefined) record.data = jsonOrText(error.data);
  } catch (broken) {
    record.stack ??= `no stack: ${shown(broken)}`; // its members may be computed, and fail
  }
  return record;
}

/** @param {unknown} value */
function jsonOrText(value) {
  try {
    encode(value, "data", 3);
    return value;
  } catch {
    return shown(value);
  }
}

/** A text for people, made of anything, that fits into a line. @param {unknown} value */
function shown(value) {
  let text = "something that cannot be shown";
  try {
    if (value instanceof Error) text = value.message || value.name;
    else text = typeof value === "string" ? value : inspect(value, { maxStringLength: MAX_TEXT });
  } catch {} // it may be a proxy that throws
  return text
    .slice(0, MAX_TEXT)
    .replace(HALF_A_PAIR, (half) => `\\u${half.charCodeAt(0).toString(16)}`);
}

// --- descriptors --------------------------------------------------------------------------------

let areTaken = false;
let output = -1; // below 0: all there is to say is the answer, in a file
let privateInput = -1; // below 0: process.stdin is read
let resultFile = "";

const pause = new Int32Array(new SharedArrayBuffer(4));

/** Write all of it before anything else happens. @param {Buffer} bytes */
function send(bytes) {
  if (output < 0) return;
  for (let at = 0, pauseMs = 1; at < bytes.length;) {
    try {
      at += writeSync(output, bytes, at);
      pauseMs = 1;
    } catch (error) {
      const { code } = /** @type {NodeJS.ErrnoException} */ (error);
      if (code === "EPIPE") process.exit(0); // sandq is gone: as at the end of input
      if (code !== "EAGAIN") throw error;
      // Somebody has made the descriptor non-blocking, and the pipe is full: let it be read.
      Atomics.wait(pause, 0, 0, pauseMs);
      pauseMs = Math.min(2 * pauseMs, 32);
    }
  }
}

/** Move the conversation out of reach of user code and of the programs it starts. */
function takeStreams() {
  areTaken = true;
  resultFile = environment.SANDQ_RESULT_FILE ?? "";
  const channel = Number(environment.SANDQ_FD || 1);
  // Programs that user code starts inherit the environment, and are no handlers.
  for (const name of ["SANDQ_PROTOCOL", "SANDQ_FD", "SANDQ_RESULT_FILE"]) delete environment[name];
  if (channel !== 1 && !isPipe(channel)) {
    throw new Error(`SANDQ_FD names descriptor ${channel}, which is no pipe`);
  }

  if (!resultFile) output = channel;
  try {
    if (fstatSync(0).isFIFO()) {
      privateInput = reopen(0, constants.O_RDONLY | constants.O_NONBLOCK);
      become(0, "/dev/null", constants.O_RDONLY);
    }
    if (output > 1) {
      output = reopen(channel, constants.O_WRONLY);
      closeSync(channel);
    } else if (output === 1 && isStream(1) && isStream(2)) {
      output = reopen(1, constants.O_WRONLY);
      become(1, "/proc/self/fd/2", constants.O_WRONLY);
    }
  } catch (error) {
    if (error instanceof Misplaced) throw error;
  }
  if (output === 1) process.stdout.write = process.stderr.write.bind(process.stderr);
}

class Misplaced extends Error {}

/** A descriptor that is not open may be one of Node's own.
 *  @param {number} descriptor */
function isPipe(descriptor) {
  try {
    return fstatSync(descriptor).isFIFO() || fstatSync(descriptor).isSocket();
  } catch {
    return false;
  }
}

/** A file is none: opened again it would be read or written from its start.
 *  @param {number} descriptor */
function isStream(descriptor) {
  const stat = fstatSync(descriptor);
  return stat.isFIFO() || stat.isCharacterDevice();
}

/** A descriptor of our own for the same pipe: it blocks, and is closed in programs we start.
 *  @param {number} descriptor @param {number} flags */
const reopen = (descriptor, flags) => openSync(`/proc/self/fd/${descriptor}`, flags);

/** Node has no dup2; but the lowest free number is what open gives.
 *  @param {number} descriptor @param {string} path @param {number} flags */
function become(descriptor, path, flags) {
  closeSync(openSync(path, flags)); // if this cannot be done, nothing is closed
  closeSync(descriptor);
  const got = openSync(path, flags);
  if (got !== descriptor) throw new Misplaced(`another thread has taken descriptor ${descriptor}`);
}

if (isMainThread && environment.SANDQ_PROTOCOL) takeStreams();

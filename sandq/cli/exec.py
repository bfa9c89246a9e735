"""`sandq exec`: run one job through a handler, without Redis."""

import argparse
import sys
from typing import Any

import orjson

from sandq.child.pool import Pool
from sandq.child.spawn import StartFailed
from sandq.cli.common import json_option, log_to_stderr, print_json, run_async
from sandq.cli.exec_jobs import run_jobs
from sandq.cli.one_handler import sandbox_of, sandbox_option
from sandq.cli.tracing import trace_of
from sandq.errors import HandlerInvalid, InvalidInput
from sandq.model.duration import to_ms
from sandq.model.handler import Handler, attempt_timeout_ms
from sandq.model.job import Claim
from sandq.model.limits import Limits, to_bytes
from sandq.model.outcome import Outcome
from sandq.model.payload import InvalidJson, decode, decode_stored, member_text
from sandq.protocol.messages import Captured, Emit, Log, Progress, Said, job_environment, job_line


def options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.usage = "sandq exec [options] -- COMMAND... < job.json"
    parser.add_argument("--data", help="the job's data, instead of a job on the standard input")
    parser.add_argument("--name", default="exec", help="the job's name (exec)")
    parser.add_argument("--timeout", help="how long it may run: 30s, 5m (no limit)")
    parser.add_argument("--fresh", action="store_true", help="end of input after the one line")
    parser.add_argument("--strict", action="store_true", help="output that is not JSON is an error")
    parser.add_argument(
        "--channel", default="stdout", help="its answers: stdout, fd3, file (stdout)"
    )
    parser.add_argument("--memory", help="memory each of its processes may use: 256M, 1G")
    sandbox_option(parser)
    parser.add_argument("--trace", action="store_true", help="show how it is run, and all it says")
    parser.add_argument(
        "--jobs", action="store_true", help="settings and many jobs on the standard input, as lines"
    )
    json_option(parser)


def run(given: argparse.Namespace) -> int:
    """Run the job; exit code 1 tells that it failed."""
    if given.jobs:
        log_to_stderr("error")
        code: int = run_async(run_jobs)
        return code
    if not given.command:
        raise InvalidInput("which handler? give its command after --: sandq exec -- COMMAND")

    log_to_stderr("error")
    outcome: Outcome = run_async(_run, given, _claim(given))
    if outcome.value is not None:
        value = decode_stored(outcome.value)
        print_json({"status": "ok", "result": value} if given.json else value)
        return 0
    if outcome.failure is None:
        raise HandlerInvalid(outcome.released or "the handler was stopped")

    record = orjson.loads(outcome.failure.to_text())
    if given.json:
        print_json({"status": "error", "error": record})
    else:
        print(f"{record['kind']}: {record['message']}", file=sys.stderr)
        print(record.get("stack", ""), file=sys.stderr, end="")

    return 1


def _claim(given: argparse.Namespace) -> Claim:
    """A claim on the job that is given: an object with `data`, and `id` and `name` if you like."""
    job: Any = {}
    data = b"null" if given.data is None else given.data.encode("utf-8", "surrogateescape")
    try:
        if given.data is None:
            text = sys.stdin.buffer.read()
            job = decode(text)
            if not isinstance(job, dict):
                raise InvalidInput('the job must be an object, such as {"data": {"path": "a.txt"}}')
            # the bytes as they were given: a large number must not lose digits on the way
            data = member_text(text, "data") or b"null"
        else:
            decode(data)
    except InvalidJson as error:
        where = "the job on the standard input" if given.data is None else "--data"
        raise InvalidInput(f"{where} is not JSON: {error}") from error

    return Claim(
        queue="exec",
        id=str(job.get("id", "1")),
        token="",
        name=str(job.get("name", given.name)),
        data=data,
        opts=b"",
        attempts=0,
        stalls=0,
        priority=0,
        created_ms=0,
    )


async def _run(given: argparse.Namespace, claim: Claim) -> Outcome:
    handler = Handler(
        command=tuple(given.command),
        timeout_ms=None if given.timeout is None else to_ms(given.timeout, "--timeout"),
        fresh=given.fresh,
        strict=given.strict,
        channel=given.channel,
        limits=Limits(memory=None if given.memory is None else to_bytes(given.memory, "--memory")),
        sandbox=sandbox_of(given.sandbox),
    )
    timeout_ms = attempt_timeout_ms(handler, None)
    line = job_line(claim, delay_ms=0, max_attempts=1, timeout_ms=timeout_ms)
    if len(line) - 1 > handler.limits.line:
        raise InvalidInput(
            f"the job's line is {len(line) - 1} bytes long; at most {handler.limits.line} fit"
        )

    def say(message: Said) -> None:
        match message:
            case Captured(stream=stream, text=text):
                print(f"{stream}: {text}", file=sys.stderr)
            case Progress(value=words):
                print(f"progress: {words.decode()}", file=sys.stderr)
            case Emit(chunk=words):
                print(f"emitted: {words.decode()}", file=sys.stderr)
            case Log(text=words):
                print(f"log: {words.decode()}", file=sys.stderr)

    async with Pool(1, [handler], trace=trace_of(handler) if given.trace else None) as pool:
        try:
            child = await pool.obtain(handler, job_environment(claim))
        except StartFailed as error:
            raise HandlerInvalid(str(error)) from error
        outcome = await child.run(claim.id, line, timeout_ms, say)
        pool.give_back(child)

    return outcome

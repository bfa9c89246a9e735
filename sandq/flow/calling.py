"""What a job may ask for while it runs: each verb is checked and carried out here.

| verb             | arguments              | value                                  |
|------------------|------------------------|----------------------------------------|
| `update_data`    | `data`                 | null: the job has other data from now  |
| `add_job`        | `name` `data` `opts`   | `id`: a job of the same queue          |
| `get_result`     | `id`                   | `state`, `value`: of a job of the same |
| `extend_timeout` | `ms`                   | `timeout_ms`: it ends so long from now |

Whether a handler may use a verb is looked at before (`Handler.calls`).
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson

from sandq.child.asking import CallRefused
from sandq.errors import InvalidInput, SandqError
from sandq.model.checks import check_integer, check_text
from sandq.model.duration import MAX_MS
from sandq.model.names import nearest
from sandq.model.options import OptionArgs
from sandq.model.payload import MAX_DATA_BYTES, InvalidJson, JsonText, decode, encode, member_text
from sandq.steps import adding
from sandq.steps.runner import run_steps
from sandq.store import reads, verbs

if TYPE_CHECKING:
    from sandq.flow.desk import Held

#: The job's arguments, and their JSON text.
_Args = Mapping[str, Any]


async def perform(held: "Held", verb: str, args: bytes) -> bytes:
    """Carry out a call of the job that `held` is the claim on.

    `args` is the JSON text of an object, the answer that of any value. Raises CallRefused.
    """
    carry_out = VERBS.get(verb)
    if carry_out is None:
        raise CallRefused(
            "sandq.unknown_verb", f"verb {verb!r} is not known; {nearest(verb, VERBS)}"
        )
    try:
        given = decode(args)
        if not isinstance(given, dict):
            raise InvalidInput("args must be an object")
        return await carry_out(held, given, args)
    except (InvalidInput, InvalidJson) as error:
        raise CallRefused("sandq.bad_args", f"{verb}: {error}") from error
    except SandqError as error:
        raise CallRefused("sandq.failed", f"{verb}: {error}") from error


async def _update_data(held: "Held", args: _Args, text: bytes) -> bytes:
    data = _data(text)
    if data is None:
        raise InvalidInput("data is missing")
    claim = held.claim
    if not await held.lane.store.run(verbs.update(claim.id, data, claim.token)):
        raise CallRefused("sandq.failed", f"job {claim.id!r} is not this worker's any more")

    return b"null"


async def _add_job(held: "Held", args: _Args, text: bytes) -> bytes:
    options = _options(args.get("opts"))
    data = JsonText(_data(text) or b"null")
    steps = adding.add(_PRODUCER, args.get("name"), data, options)  # type: ignore[arg-type]
    job_id, _ = await run_steps(held.lane.store, steps)

    return orjson.dumps({"id": job_id})


async def _get_result(held: "Held", args: _Args, text: bytes) -> bytes:
    job_id = check_text("id", args.get("id"))
    (record,) = await held.lane.store.run(reads.look([job_id]))
    if record is None:
        raise CallRefused("sandq.failed", f"job {job_id!r} does not exist, or was removed")

    # the value as the bytes it is stored as
    return b'{"state":%b,"value":%b}' % (orjson.dumps(record.state), record.value or b"null")


async def _extend_timeout(held: "Held", args: _Args, text: bytes) -> bytes:
    more_ms = check_integer("ms", args.get("ms"), 1, MAX_MS)
    if held.child is None:
        raise CallRefused("sandq.failed", "the job is being ended: it gets no more time")

    return orjson.dumps({"timeout_ms": held.child.extend(more_ms)})


#: Verb -> what carries it out.
VERBS: Mapping[str, Callable[["Held", _Args, bytes], Awaitable[bytes]]] = {
    "add_job": _add_job,
    "extend_timeout": _extend_timeout,
    "get_result": _get_result,
    "update_data": _update_data,
}

#: What a job may say of another one that it adds -> its option, and whether that is a duration.
OPTIONS: Mapping[str, tuple[str, bool]] = {
    "attempts": ("attempts", False),
    "delay_ms": ("delay", True),
    "job_id": ("job_id", False),
    "priority": ("priority", False),
    "timeout_ms": ("timeout", True),
}

# the defaults of the queue are obeyed, and there are no others
_PRODUCER = adding.producer(None, None)


def _data(args: bytes) -> bytes | None:
    """The member `data`, byte for byte; None if there is none."""
    text = member_text(args, "data")
    if text is None:
        return None
    if len(text) > MAX_DATA_BYTES:
        raise InvalidInput(
            f"data is {len(text)} bytes of JSON; at most {MAX_DATA_BYTES} are allowed"
        )

    return encode(JsonText(text))


def _options(opts: Any) -> OptionArgs:
    if opts is None:
        return {}
    if not isinstance(opts, dict):
        raise InvalidInput(f"opts must be an object: {opts!r}")

    options: dict[str, Any] = {}
    for name, value in opts.items():
        if name not in OPTIONS:
            raise InvalidInput(f"opts has no {name!r}; {nearest(name, OPTIONS)}")
        option, is_duration = OPTIONS[name]
        if value is not None and is_duration:
            value = timedelta(milliseconds=check_integer(name, value, 0, MAX_MS))
        if value is not None:
            options[option] = value

    return options  # type: ignore[return-value]

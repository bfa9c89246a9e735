"""`sandq run`: a supervisor in the foreground, until it is told to stop."""

import argparse
import asyncio
import signal
from contextlib import suppress
from dataclasses import replace
from types import FrameType

import anyio

from sandq import clock
from sandq.child.command import command_for_file
from sandq.cli.common import (
    connection_options,
    json_option,
    log_to_stderr,
    print_json,
    run_async,
)
from sandq.errors import ConfigError, InvalidInput
from sandq.flow.lane import Served
from sandq.flow.supervisor import Supervisor
from sandq.model.duration import to_ms
from sandq.model.handler import Handler
from sandq.model.limits import Limits, to_bytes
from sandq.model.names import ANY_NAME
from sandq.model.supervision import Supervision
from sandq.settings import Config, load_config
from sandq.store.keys import DEFAULT_PREFIX
from sandq.store.store import Store

#: A stop signal that comes again so soon means the same one: some platforms send it twice.
SAME_SIGNAL_S = 2.0

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

#: Options that speak of the one handler given as COMMAND.
OF_ONE_HANDLER = ("timeout", "fresh", "strict", "cwd", "env", "memory")

#: option -> the field of Supervision that it sets, in milliseconds
_TIMES = {
    "drain_timeout": "drain_ms",
    "kill_grace": "kill_grace_ms",
    "lease": "lease_ms",
    "recover_every": "recover_ms",
}


def options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.usage = (
        "sandq run QUEUE... [--pool N] [options] -- COMMAND...\n"
        "       sandq run --config FILE [--pool N] [options]"
    )
    parser.add_argument("queue", nargs="*", metavar="QUEUE", help="queues served by COMMAND")
    parser.add_argument("--config", metavar="FILE", help="queues and handlers in a TOML file")
    parser.add_argument("--pool", type=int, help="most children at once (1)")
    parser.add_argument("--timeout", help="how long one attempt may run: 30s, 5m (no limit)")
    parser.add_argument("--fresh", action="store_true", help="one process per job")
    parser.add_argument("--strict", action="store_true", help="output that is not JSON is an error")
    parser.add_argument("--cwd", metavar="DIR", help="the folder COMMAND runs in")
    parser.add_argument("--env", action="append", metavar="NAME=VALUE", help="a variable for it")
    parser.add_argument("--memory", help="memory each process may use: 256M, 1G")
    parser.add_argument("--drain-timeout", help="how long jobs may go on when stopping (25s)")
    parser.add_argument("--kill-grace", help="between SIGTERM and SIGKILL of a child (5s)")
    parser.add_argument("--lease", help="how long a claim is good without renewal (30s)")
    parser.add_argument("--recover-every", help="how often stalled jobs are looked for (15s)")
    parser.add_argument(
        "--log-level",
        default="warning",
        choices=["debug", "info", "warning", "error"],
        help="what is logged to the error stream (warning)",
    )
    connection_options(parser)
    parser.set_defaults(prefix=None)
    json_option(parser)


def run(given: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT, then drain."""
    log_to_stderr(given.log_level)
    config = _from_file(given) if given.config else _from_command(given)
    run_async(_supervise, given, config)
    # all is settled: a stop signal that comes now must not spoil the exit code
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)

    return 0


def _from_command(given: argparse.Namespace) -> Config:
    if not given.queue:
        raise InvalidInput("which queue? give its name, or --config FILE")
    if not given.command:
        raise InvalidInput("which handler? give its command after --: sandq run QUEUE -- COMMAND")

    handler = Handler(
        command=tuple(given.command),
        cwd=given.cwd,
        env=tuple(_variable(entry) for entry in given.env or ()),
        timeout_ms=None if given.timeout is None else to_ms(given.timeout, "--timeout"),
        fresh=given.fresh,
        strict=given.strict,
        limits=Limits(memory=None if given.memory is None else to_bytes(given.memory, "--memory")),
    )

    return Config(
        supervision=_supervision(given, Supervision()),
        handlers={queue: {ANY_NAME: handler} for queue in given.queue},
    )


def _from_file(given: argparse.Namespace) -> Config:
    if given.queue or given.command:
        raise ConfigError("--config names the queues and the commands; give no others beside it")
    for name in OF_ONE_HANDLER:
        if getattr(given, name):
            raise ConfigError(f"--{name} is for a COMMAND; with --config, write it in the file")

    config = load_config(given.config)
    for queue, name in config.files:
        handler = config.handlers[queue][name]
        command = command_for_file(handler.command[0])
        config.handlers[queue][name] = replace(handler, command=command)

    return replace(config, supervision=_supervision(given, config.supervision))


def _supervision(given: argparse.Namespace, base: Supervision) -> Supervision:
    """The file's numbers, the command line's above them."""
    changes = {
        field: to_ms(value, f"--{option.replace('_', '-')}")
        for option, field in _TIMES.items()
        if (value := getattr(given, option)) is not None
    }
    if given.pool is not None:
        changes["pool"] = given.pool

    return replace(base, **changes)


async def _supervise(given: argparse.Namespace, config: Config) -> None:
    url = given.url or config.redis
    prefix = given.prefix or config.prefix or DEFAULT_PREFIX
    stores = {queue: Store(queue, url, prefix) for queue in config.handlers}
    queues = {queue: Served(stores[queue], handlers) for queue, handlers in config.handlers.items()}
    supervisor = Supervisor(queues, config.supervision)
    _stop_on_signals(supervisor)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_announce, given, config, supervisor)
            await supervisor.run()
            group.cancel_scope.cancel()
    finally:
        for store in stores.values():
            await store.close()
    _tell(given, {"event": "stopped", "worker": supervisor.worker}, "stopped")


async def _announce(given: argparse.Namespace, config: Config, supervisor: Supervisor) -> None:
    await supervisor.started.wait()
    handlers = {
        queue: {name: str(handler) for name, handler in by_name.items()}
        for queue, by_name in config.handlers.items()
    }
    lines = [
        f"  {queue}: {name} -> {command}"
        for queue, by_name in handlers.items()
        for name, command in by_name.items()
    ]
    pool = config.supervision.pool
    text = f"sandq {supervisor.worker}: pool of {pool}; stop with Ctrl-C\n" + "\n".join(lines)
    _tell(
        given,
        {"event": "started", "worker": supervisor.worker, "pool": pool, "handlers": handlers},
        text,
    )


def _stop_on_signals(supervisor: Supervisor) -> None:
    """The first signal drains; one that follows at once is the same; a later one is in earnest.

    The handlers outlive the event loop: a signal that comes late must not kill the process.
    """
    loop = asyncio.get_running_loop()
    first_s: float | None = None

    def stop() -> None:
        nonlocal first_s
        now_s = clock.monotonic_s()
        if first_s is None:
            first_s = now_s
            supervisor.stop()
        elif now_s - first_s > SAME_SIGNAL_S:
            supervisor.stop_now()

    def heard(_number: int, _frame: FrameType | None) -> None:
        # a closed loop means that it is stopping already
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(stop)

    for number in STOP_SIGNALS:
        signal.signal(number, heard)


def _tell(given: argparse.Namespace, event: dict[str, object], text: str) -> None:
    print_json(event) if given.json else print(text, flush=True)


def _variable(entry: str) -> tuple[str, str]:
    name, equals, value = entry.partition("=")
    if not name or not equals:
        raise InvalidInput(f"--env takes NAME=VALUE: {entry!r}")

    return name, value

"""`sandq run`: a supervisor in the foreground, until it is told to stop."""

import argparse
import asyncio
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

import anyio

from sandq import clock
from sandq.child.command import command_for_file
from sandq.cli import one_handler
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
from sandq.model.names import ANY_NAME
from sandq.model.supervision import Supervision
from sandq.settings import Config, load_config
from sandq.store.keys import DEFAULT_PREFIX
from sandq.store.store import Store

#: A stop signal that comes again so soon means the same one: some platforms send it twice.
SAME_SIGNAL_S = 2.0

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

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
    parser.add_argument(
        "--pool", metavar="MIN:MAX", help="most children at once, or least and most: 2:16 (1)"
    )
    one_handler.options(parser)
    parser.add_argument(
        "--watch", action="append", metavar="DIR", help="replace all children when a file changes"
    )
    parser.add_argument("--drain-timeout", help="how long jobs may go on when stopping (25s)")
    parser.add_argument("--kill-grace", help="between SIGTERM and SIGKILL of a child (5s)")
    parser.add_argument(
        "--broken-after", help="jobs fail when their handler has not started for so long (never)"
    )
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

    handler = one_handler.handler_of(given)

    return Config(
        supervision=_supervision(given, Supervision()),
        handlers={queue: {ANY_NAME: handler} for queue in given.queue},
    )


def _from_file(given: argparse.Namespace) -> Config:
    if given.queue or given.command:
        raise ConfigError("--config names the queues and the commands; give no others beside it")
    for name in one_handler.OPTIONS:
        if getattr(given, name):
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{option} is for a COMMAND; with --config, write it in the file")

    config = load_config(given.config)
    for queue, name in config.files:
        handler = config.handlers[queue][name]
        command = command_for_file(handler.command[0])
        config.handlers[queue][name] = replace(handler, command=command)

    return replace(config, supervision=_supervision(given, config.supervision))


def _supervision(given: argparse.Namespace, base: Supervision) -> Supervision:
    """The file's numbers, the command line's above them."""
    changes: dict[str, int | None] = {
        field: to_ms(value, f"--{option.replace('_', '-')}")
        for option, field in _TIMES.items()
        if (value := getattr(given, option)) is not None
    }
    if given.broken_after is not None:
        changes["broken_ms"] = to_ms(given.broken_after, "--broken-after")
    if given.pool is not None:
        changes["pool_least"], changes["pool"] = _sizes(given.pool)

    return replace(base, **changes)  # type: ignore[arg-type]


def _sizes(text: str) -> tuple[int | None, int]:
    """The least and the most children of "2:16"; of "16" the least is not told."""
    least, colon, most = text.rpartition(":")
    try:
        return (int(least) if colon else None), int(most)
    except ValueError:
        raise InvalidInput(
            f"--pool takes a number, or two of them as in 2:16, the least and the most: {text!r}"
        ) from None


def _folders(given: argparse.Namespace) -> list[Path]:
    folders = [Path(name) for name in given.watch or ()]
    for folder in folders:
        if not folder.is_dir():
            raise InvalidInput(f"--watch takes a folder: {str(folder)!r} is none")

    return folders


async def _supervise(given: argparse.Namespace, config: Config) -> None:
    url = given.url or config.redis
    prefix = given.prefix or config.prefix or DEFAULT_PREFIX
    stores = {queue: Store(queue, url, prefix) for queue in config.handlers}
    queues = {queue: Served(stores[queue], handlers) for queue, handlers in config.handlers.items()}
    supervisor = Supervisor(queues, config.supervision, watched=_folders(given))
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
    pool, least = config.supervision.pool, config.supervision.pool_least
    size = pool if least is None else f"{least} to {pool}"
    text = f"sandq {supervisor.worker}: pool of {size}; stop with Ctrl-C\n" + "\n".join(lines)
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

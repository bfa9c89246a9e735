"""Plays the supervisor: runs all attacks in one mode, under one user, and tells how they ended.

Run as `python -m tests.attacks.runner '{"mode": …, "folder": …}'`; the last line of its output is
the report. Its environment holds the secret that no child may see.
"""

import json
import os
import secrets
import select
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import orjson

from sandq.child.pool import Pool
from sandq.child.spawn import StartFailed
from sandq.model.handler import Handler
from sandq.model.job import Claim
from sandq.model.payload import encode
from sandq.model.sandbox import Sandbox
from sandq.protocol.messages import job_line
from tests.attacks import watching, world
from tests.attacks.host import Host
from tests.attacks.judging import Evidence
from tests.attacks.table import ASKED, ATTACKS, BOUNDS, LIMITS, Attack
from tests.attacks.watching import Watch
from tests.attacks.world import Victim, World

#: Jobs at once, while nothing is measured.
AT_ONCE = 3

GRACE_MS = 300

#: How long whatever is to be gone after a job may take for it, in seconds: behind walls, and
#: where it is to be seen that it stays.
PATIENCE_S = {True: 5.0, False: 1.0}

#: Between two looks at how much a job has of everything, in seconds.
SAMPLE_EVERY_S = 0.04

#: What an attack that is written badly ends with: it proves nothing.
CLUMSY = (
    "AttributeError", "ImportError", "IndexError", "KeyError", "ModuleNotFoundError", "NameError",
    "SyntaxError", "TypeError", "UnboundLocalError", "UnicodeDecodeError", "ValueError",
)  # fmt: skip


@dataclass
class Runner:
    """The attacks of one mode: none, exec or fork."""

    mode: str
    folder: Path
    world: World
    results: dict[str, dict] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self):
        self.walled = self.mode != "none"
        programs = self.folder / "programs"
        shutil.copytree(Path(__file__).with_name("programs"), programs)
        for path in programs.iterdir():
            path.chmod(0o755)
        themes = sorted(str(path) for path in programs.glob("*.py") if path.name != "serve.py")
        python = [sys.executable, "-I", str(programs / "serve.py"), *themes]
        sandbox = Sandbox(profile="none")
        if self.walled:
            sandbox = Sandbox.untrusted(start=self.mode, **LIMITS)
        commands = {".py": python, ".sh": ["/bin/sh", str(programs / "shell.sh")]}
        if self.mode != "fork":
            commands[".mjs"] = ["node", str(programs / "node.mjs")]
        else:
            del commands[".sh"]
        # the shell and Node have no modules to fork from
        self.handlers = {
            suffix: Handler(command=tuple(command), sandbox=sandbox)
            for suffix, command in commands.items()
        }

    def attacks(self, wanted):
        """Those that this mode can run."""
        suffixes = tuple(self.handlers)
        mine = [attack for attack in ATTACKS if attack.program.endswith(suffixes)]
        return [attack for attack in mine if not wanted or attack.key in wanted]

    async def run(self, wanted=()):
        """All of them: side by side, one by one where something is measured, and in pairs."""
        mine = self.attacks(wanted)
        alone = [attack for attack in mine if attack.alone or attack.later]
        heavy = [attack for attack in mine if attack.heavy and not attack.alone]
        light = [attack for attack in mine if attack not in alone and attack not in heavy]
        handlers = list(self.handlers.values())
        async with Pool(AT_ONCE + 1, handlers, kill_grace_ms=GRACE_MS) as pool:
            for some, at_once in ((light, AT_ONCE), (heavy, 2)):
                limiter = anyio.CapacityLimiter(at_once)
                async with anyio.create_task_group() as group:
                    for attack in some:
                        group.start_soon(self.trial, pool, attack, limiter)
        # the next job is to be served by the same child, if any
        async with Pool(1, handlers, kill_grace_ms=GRACE_MS) as pool:
            for attack in alone:
                await self.trial(pool, attack, anyio.CapacityLimiter(1))

    async def trial(self, pool, attack: Attack, limiter):
        """One attack, from what it is given to what is made of it."""
        async with limiter:
            started_s = time.monotonic()
            token = f"job-{secrets.token_hex(8)}"
            file, folder = self.world.stock(token)
            victim = Victim(self.world.secrets["the memory of a process"])
            data = self.facts(attack, token, file, folder, victim)
            watch = Watch(token, set(), self.world.folder / "room")
            evidence = Evidence(
                self.world,
                token,
                {**data, "bounds": BOUNDS},
                None,
                "",
                watch,
                self.before(),
                victim,
                patience_s=PATIENCE_S[self.walled],
            )
            try:
                await self.play(pool, attack, evidence)
                escaped = await anyio.to_thread.run_sync(attack.judge, evidence)
                self.results[attack.key] = self.result(attack, evidence, escaped)
                self.results[attack.key]["took_s"] = round(time.monotonic() - started_s, 2)
            except Exception as error:
                self.results[attack.key] = {
                    "escaped": "",
                    "refused": f"not run: {error!r}",
                    "ran": False,
                }
            finally:
                victim.end()
                for pid in watching.named(token):
                    with suppress(ProcessLookupError):
                        os.kill(pid, 9)
                # what it has left among the interpreter's libraries
                for place in sys.path:
                    with suppress(OSError):
                        os.unlink(os.path.join(place, f"{token}.txt"))

    def facts(self, attack, token, file, folder, victim):
        """What an attacker might have found out by itself, and what it is to do."""
        outside, disk = self.world, os.stat("/").st_dev
        return {
            "attack": attack.name,
            "last": attack.last,
            "program": attack.program,
            "token": token,
            "walled": self.walled,
            "secret_file": str(outside.secret_file),
            "secret_inode": outside.secret_file.stat().st_ino,
            "folder": str(outside.folder),
            "room": str(outside.folder / "room"),
            "home": str(outside.folder / "home"),
            "open_file": str(file),
            "open_folder": str(folder),
            "socket_file": str(outside.socket_file),
            "socket_name": outside.socket_name,
            "datagram_name": outside.datagram_name,
            "tcp": outside.tcp,
            "udp": outside.udp,
            "free_port": outside.free_port,
            "terminal": outside.terminal_name(),
            "victim": victim.pid,
            "supervisor": os.getpid(),
            "disk_device": [os.major(disk), os.minor(disk)],
            "clock_value": secrets.randbelow(10**6) + 1,
            "setting_value": 10 + secrets.randbelow(1000),
            "mark": f"mark{secrets.token_hex(8)}",
            "next_token": f"next-{token[4:]}",
            **ASKED,
            **attack.data,
        }  # fmt: skip

    def before(self):
        """What judges compare with."""
        told = self.world.secret_file.stat()
        return {
            "secret file": (told.st_mode, told.st_mtime_ns, told.st_nlink),
            "setting": world.SETTING.read_text(),
            "domain": Path("/proc/sys/kernel/domainname").read_text(),
            "spawners": watching.spawners(),
            "clock": time.monotonic,
            "wait": lambda: select.select([], [], [], 0.01),
        }

    async def play(self, pool, attack, evidence):
        """The job, and the one after it if the attack is on that one."""
        handler = self.handlers[Path(attack.program).suffix]
        outcome, said = await self.lend_again(pool, handler, attack, evidence.data, evidence)
        evidence.outcome = outcome
        evidence.told = text_of(outcome, said)
        if attack.later:
            later = {
                **evidence.data, "attack": attack.later, "token": evidence.data["next_token"],
                "mark": "", "last": True,
            }  # fmt: skip
            outcome, said = await self.lend(pool, handler, attack, later, None)
            evidence.later, evidence.told_later = outcome, text_of(outcome, said)

    async def lend_again(self, pool, handler, attack, data, evidence):
        """A job whose child had ended before it came to it is lent to another, as always."""
        for _ in range(5):
            outcome, said = await self.lend(pool, handler, attack, data, evidence)
            if outcome.released is None or "the child ended before" not in outcome.released:
                break
        return outcome, said

    async def child(self, pool, handler):
        """One to be lent to: a child that an attack has ended while it waited is tried again."""
        with anyio.fail_after(20):
            while True:
                try:
                    return pool.lend(handler) or await pool.obtain(handler)
                except StartFailed:
                    await anyio.sleep(pool.pause_s(handler) + 0.01)

    async def lend(self, pool, handler, attack, data, evidence):
        """One job through a child of the pool, watched if there is evidence to be had."""
        self.count += 1
        job_id = str(self.count)
        claim = Claim("q", job_id, "t", "attack", encode(data), b"", 0, 0, 0, 0)
        line = job_line(claim, delay_ms=0, max_attempts=1, timeout_ms=attack.timeout_ms)
        said = []

        def say(one):
            said.append(str(one))
            if evidence is not None:
                self.look(evidence, str(one))

        child = await self.child(pool, handler)
        if evidence is not None:
            evidence.watch.roots = {child.pid}
        started_s = time.monotonic()
        async with anyio.create_task_group() as group:
            if attack.heavy and evidence is not None:
                group.start_soon(self.sample, evidence.watch)
            with anyio.fail_after(attack.timeout_ms / 1000 + 10):
                outcome = await child.run(job_id, line, attack.timeout_ms, say)
            group.cancel_scope.cancel()
        if evidence is not None:
            evidence.elapsed_s = time.monotonic() - started_s
        pool.give_back(child)

        return outcome, said

    def look(self, evidence, words):
        """The attacker holds what it has got, or waits to be called."""
        if "holding" in words:
            evidence.watch.look()
            evidence.victim.look()
            self.world.talk_to_itself()
        elif "listening " in words:
            port = words.partition("listening ")[2].split("'")[0].split('"')[0]
            self.world.call(int(port))

    async def sample(self, watch):
        """How much it has of everything, for as long as it runs."""
        while True:
            # what is looked at may go meanwhile: then the next look counts
            with suppress(FileNotFoundError, ProcessLookupError):
                await anyio.to_thread.run_sync(watch.sample)
            with anyio.move_on_after(SAMPLE_EVERY_S):
                await anyio.sleep_forever()

    def result(self, attack, evidence, escaped):
        """For the report: what escaped, or how it was refused."""
        failure = evidence.outcome.failure
        words = (
            "" if failure is None else f"{failure.type or failure.kind.value}: {failure.message}"
        )
        if evidence.outcome.released is not None:
            words = f"given back: {evidence.outcome.released}"
        death = None if failure is None else failure.death
        return {
            "sandbox": evidence.outcome.sandbox or (death.sandbox if death is not None else ""),
            "escaped": escaped,
            "refused": words[:300],
            "kind": evidence.kind,
            "ran": evidence.outcome.released is None or bool(escaped),
            "clumsy": failure is not None and failure.type in CLUMSY,
            "blind": "" if evidence.watch.looked else evidence.watch.blind,
        }


def text_of(outcome, said):
    """All that came of a job, as one text."""
    parts = [*said]
    if outcome.value is not None:
        parts.append(outcome.value.decode())
    if outcome.failure is not None:
        failure = outcome.failure
        parts += [failure.message, str(failure.type), str(failure.stack), str(failure.data)]
        if failure.death is not None:
            parts += failure.death.stderr_tail
    if outcome.released is not None:
        parts.append(outcome.released)

    return "\n".join(parts)


def main():
    """The report: each attack, and whether it works where nothing confines it."""
    settings = json.loads(sys.argv[1])
    folder = Path(settings["folder"])
    outside = World(folder, os.environ["SANDQ_REDIS_URL"].partition("//:")[2].partition("@")[0])
    host = Host()
    works = {attack.key: attack.works.on(host) for attack in ATTACKS}
    runner = Runner(settings["mode"], folder, outside)
    anyio.run(runner.run, settings.get("only", ()))
    for key, result in runner.results.items():
        result["works"] = works[key]
    report = {"root": host.root, "results": runner.results}
    sys.stdout.buffer.write(orjson.dumps(report) + b"\n")


if __name__ == "__main__":
    main()

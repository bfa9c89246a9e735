"""The cases of the zoo: read from cases/*.toml, and checked to be well formed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sandq.conformance.zoo.events import load_rows
from sandq.errors import InvalidInput
from sandq.settings import read_toml

FOLDER = Path(__file__).parent

#: What a step is about: the word in it that says so.
WORDS = ("job", "kill")

LEVELS = ("simple", "full", "oneshot")


class ZooInvalid(InvalidInput):
    """A file of cases is not well formed; the message names the file and the place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a case: a job, or a signal.

    - `job`: its name; `evil` is the one that the program misbehaves at. `data`: its data, JSON
      text, or `pad`: a text of so many bytes as its data. `timeout_ms`: how long it may run.
    - `kill`: `child` or `supervisor`: who gets the signal `number`.
    - `row`: what is tried, by its name in the table. `value` and `progress` (JSON text), `message`
      (a part of it), `type`, `signal` (in the death record): what the line must say beside that.
    - `when`: the mark of the program to wait for before; one with `?` behind it is waited for a
      moment only, for the child may be killed before it sets it.
    - `cancel_when`, `stop_when`: at which mark the job is cancelled, the supervisor stopped for
      `stop_ms`. `call_off`: a job id that is cancelled before. `put_back`: the file NAME.away is
      renamed to NAME a moment later.
    - `within_ms`: how long it may take; left out: its time and the kill grace, or 10 s.
    - `next`: whether the slot must serve a well-behaved job afterwards.
    """

    job: str = ""
    data: str = "null"
    pad: int = 0
    timeout_ms: int | None = None
    kill: str = ""
    number: str = "KILL"
    row: str = ""
    value: str = ""
    message: str = ""
    type: str | None = None
    signal: str = ""
    progress: str = ""
    when: str = ""
    cancel_when: str = ""
    stop_when: str = ""
    stop_ms: int = 1_000
    call_off: str = ""
    put_back: str = ""
    within_ms: int | None = None
    next: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case.

    - `group`: the number of its group, and `about` its title; `name`: unique among all cases;
      `why`: what goes wrong otherwise.
    - `level`: of the child. `program`: Python, run after the prelude; or `script`: for sh; or
      `command`: program and arguments, with `files`: name -> text, beside it.
    - `handler`: more settings of the handler. `warm`: whether a first job is served as it should.
    - `starts_at_most`: how many processes there may have been; 0: as many as it takes.
    - `heavy`: it takes much memory or time, and is played alone.
    - `refusable`: the supervisor may refuse the settings instead.
    """

    group: int
    about: str
    name: str
    why: str
    level: str = "simple"
    program: str = ""
    script: str = ""
    command: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    handler: Mapping[str, Any] = field(default_factory=dict)
    grace_ms: int = 300
    warm: bool = True
    starts_at_most: int = 0
    heavy: bool = False
    refusable: bool = False
    steps: tuple[Step, ...] = ()

    @property
    def rows(self) -> set[str]:
        """The rows of the table that it tries."""
        return {step.row for step in self.steps if step.row}


def load_cases(folder: Path | None = None) -> list[Case]:
    """All cases of a folder, in the order of their files. Raises ZooInvalid."""
    cases: list[Case] = []
    for path in sorted((folder or FOLDER / "cases").glob("*.toml")):
        table = read_toml(path, "the cases")
        try:
            cases += [read_case(case, table) for case in table["case"]]
        except (ZooInvalid, KeyError, TypeError) as error:
            raise ZooInvalid(f"{path}: {error}") from error

    names = [case.name for case in cases]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ZooInvalid(f"two cases are named {min(twice)!r}")

    return cases


def read_case(table: Mapping[str, Any], group: Mapping[str, Any]) -> Case:
    """One case of a file. Raises ZooInvalid."""
    name = table.get("name")
    _known(table, Case, f"case {name!r}")
    steps = tuple(_step(step, f"case {name!r}") for step in table.get("steps", ()))
    case = Case(
        **{
            **table,
            "group": group["number"],
            "about": group["title"],
            "steps": steps,
            "command": tuple(table.get("command", ())),
        }
    )
    given = [word for word in ("program", "script", "command") if table.get(word)]
    _demand(len(given) == 1, f"case {name!r}: it needs one of program, script, command")
    _demand(case.level in LEVELS, f"case {name!r}: level {case.level!r}")
    _demand(case.rows or case.group == _AUDITS, f"case {name!r} tries no row of the table")

    return case


#: The group whose cases look at what a child is given, not at what it does.
_AUDITS = 18


def _step(table: Mapping[str, Any], where: str) -> Step:
    _known(table, Step, where)
    _demand(sum(word in table for word in WORDS) == 1, f"{where}: a step is a job, or a signal")
    step = Step(**table)
    _demand(not step.row or step.row in load_rows(), f"{where}: there is no row {step.row!r}")

    return step


def _known(table: Mapping[str, Any], of: type, where: str) -> None:
    names: Iterable[str] = {entry.name for entry in fields(of)}
    for name in table:
        _demand(name in names, f"{where}: {name!r} is not known")


def _demand(holds: object, message: str) -> None:
    if not holds:
        raise ZooInvalid(message)

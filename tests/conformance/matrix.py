"""The generated parts of spec/conformance.md: the checks, and what the sample handlers make of
them. `python -m tests.conformance.matrix` (make matrix) writes them anew."""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from sandq.conformance.cases import load_cases
from sandq.conformance.kit import FAILED, PASSED, probe, run_case
from sandq.conformance.subject import Subject

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "spec/conformance.md"
FOLDERS = ("plain", "full", "sdk")

UNTESTED = "untested here"

#: A build may take so long, in seconds.
BUILD_S = 120


@dataclass(frozen=True)
class Sample:
    """A sample handler that keeps to the echo contract; `folder` is below handlers/."""

    folder: str
    name: str
    file: str
    level: str
    command: list[str]
    needs: str
    package: str
    build: list[str] | None = None

    @property
    def path(self):
        return f"handlers/{self.folder}/{self.file}"

    def is_here(self):
        """Whether this machine has the program it needs."""
        return shutil.which(self.needs) is not None

    def words(self, words, folder):
        known = {
            "file": str(ROOT / self.path),
            "built": str(Path(folder) / "built"),
            "python": sys.executable,
        }
        return [word.format(**known) for word in words]

    def start(self, folder):
        """The command that runs it; what must be built for it is in `folder`."""
        if self.build:
            subprocess.run(self.words(self.build, folder), check=True, timeout=BUILD_S, cwd=folder)
        return self.words(self.command, folder)


def samples():
    """The sample handlers, in the order of their tables."""
    found = []
    for folder in FOLDERS:
        tables = tomllib.loads((ROOT / f"handlers/{folder}/languages.toml").read_text())
        found += [Sample(folder, **entry) for entry in tables["language"]]

    return found


def cell(results):
    """What one check is called in the matrix, from the results of its cases."""
    outcomes = {(result.case.tier, result.outcome) for result in results}
    if ("MUST", FAILED) in outcomes:
        return "**fails**"
    if ("SHOULD", FAILED) in outcomes:
        return "should"
    if any(result.outcome == PASSED for result in results):
        return "ok"

    return "-"


def results_of(sample):
    """The results of all cases for one sample handler; it must be here."""
    with tempfile.TemporaryDirectory() as folder:
        subject = probe(Subject(tuple(sample.start(folder))))
        assert subject.level == sample.level, f"{sample.name} is {subject.level}"
        return [run_case(case, subject) for case in load_cases()]


def numbers():
    """The numbers of the checks."""
    return sorted({case.number for case in load_cases()})


def row(sample):
    """The line of the matrix for one sample handler."""
    if not sample.is_here():
        cells = [UNTESTED, *[""] * (len(numbers()) - 1)]
    else:
        results = results_of(sample)
        cells = [cell([r for r in results if r.case.number == n]) for n in numbers()]

    return f"| {' | '.join([head(sample), *cells])} |".replace("  |", " |").replace("|  |", "| |")


def head(sample):
    """How the line of a sample handler begins."""
    return f"[{sample.name}](../{sample.path}) | {sample.level}"


def matrix(rows):
    """The table of the matrix."""
    heads = ["handler", "level", *map(str, numbers())]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *rows]

    return "\n".join(lines)


def checks():
    """The table of all cases."""
    lines = ["| check | case | tier | level | needs | what it asks for |", f"|{'---|' * 6}"]
    before = 0
    for case in load_cases():
        number = f"{case.number}: {case.check}" if case.number != before else ""
        before = case.number
        needs = " ".join(f"`{word}`" for word in case.needs)
        cells = (number, f"`{case.name}`", case.tier, case.level, needs, case.title)
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |"))

    return "\n".join(lines)


def part(text, name):
    """What stands between the marks of a generated part."""
    return _marked(name).search(text)[2].strip("\n")


def put(text, name, new):
    """The text with another generated part."""
    return _marked(name).sub(lambda found: f"{found[1]}\n\n{new}\n\n{found[3]}", text)


def _marked(name):
    return re.compile(
        rf"(<!-- {name}: written by make matrix -->)\n(.*?)(<!-- end of {name} -->)", re.S
    )


def main():
    text = put(PAGE.read_text(), "checks", checks())
    rows = []
    for sample in samples():
        rows.append(row(sample))
        print(rows[-1], flush=True)
    PAGE.write_text(put(text, "matrix", matrix(rows)))


if __name__ == "__main__":
    main()

"""What the tests of spec/ share: how its pages are read, and the sources they speak of."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "spec"
PAGES = sorted(SPEC.glob("*.md"))

#: Lua sources by path below sandq/lua, without the suffix.
LUA = {
    path.relative_to(ROOT / "sandq/lua").with_suffix("").as_posix(): path.read_text()
    for path in sorted((ROOT / "sandq/lua").rglob("*.lua"))
}
#: The same without comments, in one text.
ALL_LUA = "\n".join(re.sub(r"^\s*--.*$", "", text, flags=re.M) for text in LUA.values())


def section(page, heading):
    """The text under a heading, up to the next heading of any level."""
    text = (SPEC / f"{page}.md").read_text()
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.M | re.S)

    assert found, f"{page}.md has no heading {heading!r}"
    return found[1]


def table(page, heading, number=0):
    """A table under a heading: a list of rows, each a dict from column to cell, code marks off."""
    found = re.findall(r"(?:^\|.*\|\n)+", section(page, heading), re.M)
    lines = [line.strip("|\n").split("|") for line in found[number].splitlines(keepends=True)]
    rows = [[cell.strip() for cell in line] for line in lines]

    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def plain(cell):
    """A cell that is one piece of code, or words."""
    return cell[1:-1] if re.fullmatch(r"`[^`]*`", cell) else cell


def words(cell):
    """The words of a cell that stand in code marks."""
    return re.sub(r"[^`]*`([^`]*)`[^`]*", r"\1 ", cell).split() if "`" in cell else []


def column(page, heading, name, number=0):
    """The cells of a column, in order, none of them twice."""
    cells = [plain(row[name]) for row in table(page, heading, number)]

    assert len(set(cells)) == len(cells), f"{page}.md, {heading}: something is listed twice"
    return cells


def blocks(page, heading, language):
    """The blocks of code of a language under a heading."""
    return re.findall(rf"^```{language}\n(.*?)^```$", section(page, heading), re.M | re.S)


def amount(text):
    """A number with its unit, in ms, bytes or pieces."""
    found = re.fullmatch(r"([\d,.]+) ?(ms|s|h|years|KiB|MiB|bytes|characters|)", text)
    assert found, f"{text!r} is no number with a unit of ours"
    units = {"s": 1000, "h": 3_600_000, "years": 366 * 86_400_000, "KiB": 1024, "MiB": 1024**2}

    return round(float(found[1].replace(",", "")) * units.get(found[2], 1))

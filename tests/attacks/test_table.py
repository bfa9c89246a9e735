"""The table is whole: every guarantee is attacked, every program's attacks are in it."""

import ast
import re
from pathlib import Path

from sandq.model.sandbox import Guarantee
from tests.attacks.table import ATTACKS, BY_KEY, GAPS

PROGRAMS = Path(__file__).with_name("programs")

#: Functions of the programs that others use, or that are no attack by themselves.
HELPERS = {
    "text_of", "gather", "others", "areas", "found_in", "leads_to", "talk", "connect", "fill",
    "own_namespaces", "a_new", "privately", "held_mount", "mounts", "write", "marks",
    "look_around", "is_named", "say", "answer", "honest", "two_thousand_orphans",
    "colours_in_the_log", "another_line_in_the_log", "forged_log_level",
}  # fmt: skip


def attacks_of(path):
    """The names of the attacks in a program."""
    text = path.read_text()
    if path.suffix == ".py":
        found = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
        return {name for name in found if not name.endswith("_later")} - HELPERS
    if path.suffix == ".sh":
        return set(re.findall(r"^    (\w+)\)", text, re.M)) - HELPERS
    return set(re.findall(r"^  (\w+): ", text, re.M))


def test_every_attack_of_a_program_is_in_the_table_and_the_other_way_round():
    for path in PROGRAMS.iterdir():
        if path.name == "serve.py" or path.is_dir():
            continue
        told = {attack.name for attack in ATTACKS if attack.program == path.name}
        assert attacks_of(path) == told, path.name


def test_every_guarantee_is_attacked():
    assert {attack.guarantee for attack in ATTACKS} == set(Guarantee)


def test_names_are_told_apart():
    assert len(BY_KEY) == len(ATTACKS)
    assert set(GAPS) <= set(BY_KEY)

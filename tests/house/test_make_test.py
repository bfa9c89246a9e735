"""`make test` leaves no test out, whether it runs beside others or alone."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_what_runs_together_is_there_and_is_left_out_of_the_rest_only():
    text = (ROOT / "Makefile").read_text()
    together = re.search(r"^TOGETHER := (.+)$", text, re.M)[1].split()
    recipe = re.search(r"^test:.*?\n\n", text, re.M | re.S)[0]
    calls = re.findall(r"-m pytest (.*?) \|\|", recipe)

    assert all((ROOT / path).is_dir() for path in together), together
    assert calls == ["$(SHARED) $(TOGETHER)", "tests $(addprefix --ignore=,$(TOGETHER))"]

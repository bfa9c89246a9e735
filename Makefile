# `make` lists the targets. All they need is make and Python 3.11 or later; what they install goes
# into the folder .venv, once. With another Python: make demo PYTHON=/path/to/python3.13

ARGS ?=
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11 python

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

# What is installed is noted in a stamp: the next run needs neither pip nor the network.
STAMP := .venv/.installed-
# target -> the extras of pyproject.toml it needs, and the targets that are served by them as well
EXTRAS_demo := demo
EXTRAS_test := test
EXTRAS_lint := test,lint
SERVES_demo := demo
SERVES_test := demo test
SERVES_lint := demo test lint

# A .venv of ours whose Python has gone, or that was moved, is of no use any more.
ifneq ($(wildcard $(STAMP)*),)
$(shell $(BIN)/python -I -c 'import sandq' 2>/dev/null || rm -rf .venv)
endif

# These are of rules and texts alone: several files at a time keep all processors busy. The others
# watch processes, limits and deadlines, and come one by one.
TOGETHER := tests/rules tests/protocol tests/lua tests/isolation tests/sdk tests/house
SHARED := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

.PHONY: help
help: ## list these targets
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/make \1#\2/p' $(firstword $(MAKEFILE_LIST)) \
	  | while IFS='#' read -r target what; do printf '  %-12s %s\n' "$$target" "$$what"; done

.PHONY: demo
demo: $(STAMP)demo ## see it work: handlers in Python, Node and shell on real files
	@$(BIN)/python examples/demo.py

.PHONY: test
test: $(STAMP)test ## run all tests; some of them: make test ARGS='tests/faces -x'
ifneq ($(ARGS),)
	@$(BIN)/python -m pytest $(ARGS)
else
	@status=0; \
	$(BIN)/python -m pytest $(SHARED) $(TOGETHER) || status=1; \
	$(BIN)/python -m pytest tests $(addprefix --ignore=,$(TOGETHER)) || status=1; \
	exit $$status
endif

.PHONY: lint
lint: $(STAMP)lint ## check style, types and imports
	@status=0; \
	for tool in 'ruff check .' 'ruff format --check .' 'mypy' 'lint-imports'; do \
	  if output=$$($(BIN)/$$tool 2>&1); then echo "ok      $$tool"; \
	  else status=1; echo "FAILED  $$tool"; printf '%s\n' "$$output"; fi; \
	done; exit $$status

.PHONY: bench
bench: $(STAMP)test ## measure jobs per second on this machine: make bench ARGS=--help
	@$(BIN)/python bench/throughput.py $(ARGS)

.PHONY: matrix
matrix: $(STAMP)test ## write the generated tables of spec/conformance.md anew
	@$(BIN)/python -m tests.conformance.matrix

.PHONY: clean
clean: ## remove .venv, caches and built packages; jobs in .sandq are kept
	rm -rf .venv build dist .coverage
	rm -rf .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP)%: pyproject.toml | $(BIN)/python
	@echo "installing sandq[$(EXTRAS_$*)] and what it needs into .venv, once"
	@log=$$($(PIP) install --editable '.[$(EXTRAS_$*)]' 2>&1) || { \
	  printf '%s\n' "$$log" "pip has failed; 'make clean' begins anew" >&2; exit 1; }
	@touch $(addprefix $(STAMP),$(SERVES_$*))

$(BIN)/python:
	@python=; \
	for name in $(PYTHON); do \
	  if "$$name" -c '$(NEW_ENOUGH)' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "sandq needs Python 3.11 or later; none of these is one: $(PYTHON)" >&2; \
	  echo "install it, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "$$python cannot make virtual environments; on Debian and Ubuntu:" >&2; \
	  echo "  apt-get install python3-venv" >&2; exit 1; \
	fi; \
	rm -rf .venv; "$$python" -m venv .venv || { rm -rf .venv; exit 1; }

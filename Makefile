# Every target does its own set-up: a .venv beside this file, by uv where it is installed, else by venv and pip.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)

# Bytecode is kept: otherwise each of the many processes of the tests compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

# pip cannot resolve to the lowest versions: without uv on the machine it is installed into .venv.
LOWEST_UV := $(if $(UV),,$(BIN)/uv)

.PHONY: demo test quick cover check lint types contracts spelling docs format versions lowest lock bench bench-check bench-pace bench-live clean

demo: $(VENV)/.demo  ## watch a batch find its pace
	$(BIN)/paceline demo

test: $(VENV)/.dev  ## run the tests
	$(BIN)/python -m pytest -n $(WORKERS) --maxschedchunk 1

quick: $(VENV)/.dev  ## the tests that need neither processes nor servers, in under a minute
	PACELINE_SEARCH=quick $(BIN)/python -m pytest -n auto -m "not slow"

cover: $(VENV)/.dev  ## the quick tests, with the share of the code that they run
	PACELINE_SEARCH=quick $(BIN)/python -m pytest -q -n auto -m "not slow" --cov --cov-report=term:skip-covered --cov-fail-under=$(COVERAGE)

check: lint types contracts spelling cover  ## everything that must hold besides the tests

# Two more than cores: tests of processes and servers mostly wait, and come first.
WORKERS := $(shell python3 -c 'import os; print(2 + (os.cpu_count() or 1))')
COVERAGE := 88

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	PATH="$(abspath $(BIN)):$$PATH" PYTHONPATH=src basedpyright --verifytypes paceline --ignoreexternal > $(VENV)/verifytypes.txt \
		|| { grep -B1 'error:' $(VENV)/verifytypes.txt; tail -n 22 $(VENV)/verifytypes.txt; exit 1; }

spelling: $(VENV)/.dev
	$(BIN)/codespell src tests docs benchmarks examples README.md CHANGELOG.md $(wildcard CONTRIBUTING.md)
	$(BIN)/validate-pyproject pyproject.toml

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

versions:  ## the quick tests on each Python from 3.11 to 3.14 that uv finds on this machine
	@for version in 3.11 3.12 3.13 3.14; do \
		if python=$$(uv python find --offline --no-project $$version 2> /dev/null); then \
			echo "Python $$version: $$python"; \
			$(MAKE) --no-print-directory VENV=.venvs/$$version PYTHON=$$python quick || exit 1; \
		else \
			echo "Python $$version: not on this machine, skipped"; \
		fi; \
	done

lowest: $(LOWEST_UV)  ## the quick tests with the oldest versions that pyproject.toml allows of what paceline needs; LOWEST=tests/cli for some
	$(or $(UV),$(BIN)/uv) venv --quiet --clear --python $(PYTHON) .venvs/lowest
	$(or $(UV),$(BIN)/uv) pip install --quiet --python .venvs/lowest/bin/python --resolution lowest-direct --editable '.[all]'
	$(or $(UV),$(BIN)/uv) pip install --quiet --python .venvs/lowest/bin/python --group dev
	PACELINE_SEARCH=quick .venvs/lowest/bin/python -m pytest -q -n auto -m "not slow" $(LOWEST)

lock: ## write constraints.txt again (with uv)
	uv pip compile --quiet --upgrade pyproject.toml --extra all --group dev --universal \
		--no-header --no-annotate --no-emit-index-url --output-file constraints.txt

docs: $(VENV)/.dev  ## build the documentation site into build/docs, offline; warnings are errors
	$(BIN)/python -m sphinx -q -W --keep-going -n -b html -d build/doctrees docs build/docs

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev  ## print the figures, beside their peers'
	$(BIN)/python -m benchmarks

bench-check: $(VENV)/.dev  ## fail if a ratio to a peer in the same run is 30 % worse than the stored one
	$(BIN)/python -m benchmarks --check

bench-pace: $(VENV)/.bench  ## measure the controllers of the pace, and each rule, in some four hours; resumes where it was interrupted
	$(BIN)/python -m benchmarks.pace --page docs/benchmarks/pace.md --rival-seeds 2
	$(BIN)/python -m benchmarks.pace.ablation --page docs/benchmarks/pace.md
	$(BIN)/python -m benchmarks.pace.ablation --each --page docs/benchmarks/pace.md

bench-live: $(VENV)/.dev  ## measure the pace on real servers, in a quarter of an hour; `--install` of benchmarks.live gets most of them
	$(BIN)/python -m benchmarks.live --json benchmarks/live/results.json --page docs/benchmarks/pace.md

clean:
	rm -rf $(VENV) build

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "paceline needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 1; }
ifdef UV
	uv venv --quiet --python $(PYTHON) $(VENV)
else
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
endif

$(VENV)/bin/uv: | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet uv

# The newest versions that pyproject.toml allows are installed; with CONSTRAINTS=constraints.txt those that are known to work together.
ifdef UV
INSTALL := uv pip install --quiet --python $(BIN)/python $(addprefix --constraints ,$(CONSTRAINTS))
else
INSTALL := $(BIN)/python -m pip install --quiet $(addprefix --constraint ,$(CONSTRAINTS))
endif

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --editable '.[cli]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --editable '.[all]' --group dev
	@touch $@ $(VENV)/.demo

$(VENV)/.bench: pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --editable '.[all]' --group dev --group bench
	@touch $@ $(VENV)/.dev $(VENV)/.demo

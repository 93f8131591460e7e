# Every target does its own set-up: a .venv beside this file, by uv where it is installed, else by venv and pip.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)

.PHONY: demo test check lint types contracts format bench bench-pace clean

demo: $(VENV)/.demo  ## watch a batch find its pace
	$(BIN)/paceline demo

test: $(VENV)/.dev  ## run the tests
	$(BIN)/python -m pytest -n auto

check: lint types contracts test  ## everything that must hold

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev  ## print the figures, beside their peers'
	$(BIN)/python -m benchmarks

bench-pace: $(VENV)/.bench  ## measure the controllers of the pace; resumes where it was interrupted
	$(BIN)/python -m benchmarks.pace --page docs/benchmarks/pace.md --rival-seeds 2

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "paceline needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 1; }
ifdef UV
	uv venv --quiet --python $(PYTHON) $(VENV)
else
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
endif

ifdef UV
INSTALL := uv pip install --quiet --python $(BIN)/python
else
INSTALL := $(BIN)/python -m pip install --quiet
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

# `make demo` and `make test` need Python 3.10 to 3.13 and git, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types bench chaos clean

demo: $(VENV)/installed
	$(BIN)/python examples/train.py -m hyperparam2=1,2,3

test: $(VENV)/installed-test
	$(BIN)/python -m pytest

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

bench: $(VENV)/installed-bench
	$(BIN)/python benchmarks/run_all.py

# Kills parts of sweeps until it is told to stop: `make chaos MINUTES=30`.
chaos: $(VENV)/installed-test
	$(BIN)/python tests/chaos/play.py --minutes $(or $(MINUTES),10)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp for what is installed: pip runs again only when setup.cfg has changed.
$(VENV)/installed: setup.cfg | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-%: setup.cfg | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	touch $@

# What `venv` makes last: without it the environment is not whole.
$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

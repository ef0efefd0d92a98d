# What people, CI and the README call. PYTHON picks the interpreter, VENV the environment.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
PIP_ARGS ?=
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-dev

.PHONY: demo test check bench docs clean

demo: $(STAMP)
	$(BIN)/evoscale demo $(ARGS)

test: $(TEST_STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(TEST_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/deptry .
	$(BIN)/typos

bench: $(TEST_STAMP)
	$(BIN)/python -m tests.benchmarks --out build/bench $(ARGS)

docs: $(TEST_STAMP)
	$(BIN)/python -m tests.generate_docs

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV) || { echo "python3 with venv is needed (Debian: apt-get install python3-venv)"; exit 2; }

$(STAMP): pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/pip install -q $(PIP_ARGS) -c constraints.txt -e .
	@touch $@

$(TEST_STAMP): pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/pip install -q $(PIP_ARGS) -c constraints.txt -e ".[dev]"
	@touch $@ $(STAMP)

clean:
	rm -rf build .mypy_cache .ruff_cache .pytest_cache

# One command for each thing a developer does; `make help` lists them.
#
# Everything is built and installed inside $(VENV); `make clean` removes it and
# the tools' caches. `make test VENV=/tmp/other PYTHON=python3.13` leaves it alone.

PYTHON ?= python3
VENV   ?= .venv
ROUNDS ?= 100
BIN    := $(VENV)/bin
CODE   := $(wildcard stalkd client/stalkd_client tests bench examples docs onefile)
# Directories are listed too: their time changes when a file is removed.
WHEEL_SOURCES := pyproject.toml $(wildcard README.md LICENSE) \
	$(shell find stalkd client man systemd completions -not -path '*__pycache__*' 2>/dev/null)

TOOLS := $(VENV)/.tools-are-installed
WHEEL := $(VENV)/.wheel-is-installed

PEERS := $(VENV)/peers

PROGRAMS := dist/.programs-are-built

.DEFAULT_GOAL := help
.PHONY: help test lint pytest dist binary check-binary torture demo bench bench-peers pictures format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: lint pytest ## Run every check: what must pass before a change is proposed

lint: $(WHEEL) ## Check formatting, style, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-logo

pytest: $(WHEEL) ## Run the tests against the built wheel (ARGS="-k reserve" selects)
	$(BIN)/pytest $(ARGS)

dist: $(WHEEL) ## Build the wheel and the source archive, into dist
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || echo 1580601600)} \
		$(BIN)/python -m hatchling build -d dist

binary: $(PROGRAMS) ## Build dist/stalkd, dist/stalk, dist/stalk-worker: one file each, no Python needed

check-binary: binary ## Run the tests of the command line and of the protocol against dist/stalkd
	STALKD_TEST_PROGRAM=$(abspath dist/stalkd) $(BIN)/pytest tests/onefile tests/cli \
		tests/differential/test_conversations.py $(ARGS)

torture: $(WHEEL) ## Kill a loaded daemon again and again, and look what it lost (ROUNDS=1000)
	cd tests && $(abspath $(BIN))/python -m torture --rounds $(ROUNDS)

demo: $(WHEEL) ## Start a daemon and workers, and watch jobs pass through them
	$(BIN)/python examples/demo.py

bench: $(WHEEL) ## Measure (BENCH="..." is passed on)
	$(BIN)/python bench/run.py $(BENCH)

bench-peers: $(WHEEL) $(PEERS)/.are-installed ## Measure the worker beside others: five minutes
	$(BIN)/python bench/peers --peers $(PEERS)/bin $(BENCH)

pictures: $(WHEEL) ## Draw the pictures of docs/ from the code
	$(BIN)/python docs/pictures/draw.py

# The interpreter of $(VENV) is in them.
$(PROGRAMS): $(WHEEL) $(wildcard onefile/*)
	$(BIN)/python onefile/build.py --into dist
	touch $@

format: $(TOOLS) ## Format the code and apply the linter's safe fixes
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean: ## Remove everything that was built or cached
	rm -rf $(VENV) dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip 25.1 is the first that knows dependency groups.
$(TOOLS): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

# Other workers are not for our environment: they bring a hundred packages.
$(PEERS)/.are-installed: bench/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet -r bench/peers/requirements.txt
	touch $@

# Tests run against what users get, the wheel, and not against the work tree.
# pip keeps an installed package of the same version, hence the uninstall.
$(WHEEL): $(TOOLS) $(WHEEL_SOURCES)
	rm -rf $(VENV)/wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir $(VENV)/wheel .
	$(BIN)/python -m pip uninstall --quiet --yes stalkd
	$(BIN)/python -m pip install --quiet $(VENV)/wheel/stalkd-*.whl
	touch $@

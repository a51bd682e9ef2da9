# The same doors for people and for CI. Every target does its own set-up.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check
SOURCES := gong_async tests benchmarks examples tools

.DEFAULT_GOAL := help
.PHONY: help demo test coverage test-full fuzz crash cancellations shutdowns bench bench-compare bench-pin architecture check format test-all test-lowest wheel clean

help:  ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.created:
	@echo "Making $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; give it with PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.demo: $(VENV)/.created pyproject.toml
	@$(PIP) install --editable '.[cli]'
	@touch $@

$(VENV)/.test: $(VENV)/.created pyproject.toml
	@$(PIP) install --editable '.[cli,redis]' --group test
	@touch $@

$(VENV)/.lint: $(VENV)/.test
	@$(PIP) install --group lint --group bench
	@touch $@

# Others' clients and their exact versions stay out of the environment of the tests. urllib3-future,
# which niquests needs, would put itself in the place of the urllib3 of requests.
BENCH := .venvs/bench
MEASURE := $(BENCH)/bin/python

$(BENCH)/.installed: benchmarks/requirements.txt
	@$(MAKE) --no-print-directory VENV=$(BENCH) $(BENCH)/.created
	@URLLIB3_NO_OVERRIDE=1 $(MEASURE) -m pip --quiet --disable-pip-version-check install \
		--no-binary urllib3-future --requirement benchmarks/requirements.txt
	@$(MEASURE) -m pip --quiet --disable-pip-version-check install --no-deps --editable .
	@touch $@

demo: $(VENV)/.demo  ## Update a few hundred meetings from a file, against the embedded fake Gong
	@$(BIN)/python examples/demo/demo.py

# As many processes as there are cores; a bare `pytest` runs in one.
PYTEST_OPTIONS = pytest --numprocesses auto --maxprocesses 8 --dist worksteal
PYTEST = $(BIN)/python -X dev -W error -m $(PYTEST_OPTIONS)

test: $(VENV)/.test  ## Run the tests, but for those that take long
	@echo "The tests take about 4 minutes on two cores. Those that take long: make test-full"
	@$(PYTEST) $(ARGS)

coverage: $(VENV)/.test  ## Run the tests of make test, and measure which branches they take
	@echo "The tests take about 6 minutes on two cores when they are measured."
	@rm -f .coverage .coverage.*
	@$(BIN)/python -X dev -W error -m coverage run -m $(PYTEST_OPTIONS) $(ARGS)
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report

# What depends on the event loop and on the parser of answers is run again with the other ones.
SURROUNDINGS := tests/faults tests/bulk tests/oauth

test-full: $(VENV)/.test  ## Run the tests that take long; those of faults again, under uvloop and with aiohttp's Python parser
	@echo "The tests that take long: about 15 minutes on two cores."
	@$(PYTEST) --full -m "full or hypothesis" $(ARGS)
	@echo "Faults, bulk jobs and OAuth under uvloop:"
	@$(PYTEST) --full --uvloop $(SURROUNDINGS) $(ARGS)
	@echo "... and with aiohttp's Python parser:"
	@AIOHTTP_NO_EXTENSIONS=1 $(PYTEST) --full $(SURROUNDINGS) $(ARGS)

COUNT ?= 1000000
fuzz: $(VENV)/.test  ## Answer a million calls with damaged bytes (COUNT=..., ARGS='--seed 7')
	@PYTHONPATH=tests $(BIN)/python -m fuzz --count $(COUNT) $(ARGS)

# The oldest versions that pyproject.toml allows: whether its lower bounds are true.
test-lowest: VENV := .venvs/lowest
test-lowest:  ## Run the tests with the oldest versions of everything
	@$(MAKE) --no-print-directory VENV=.venvs/lowest .venvs/lowest/.created
	@.venvs/lowest/bin/python .ci/lowest.py > .venvs/lowest/constraints.txt
	@.venvs/lowest/bin/python -m pip --quiet --disable-pip-version-check install \
		--constraint .venvs/lowest/constraints.txt --editable '.[cli,redis]' --group test
	@$(PYTEST) $(ARGS)

KILLS ?= 500
SEED ?= 1

crash: $(VENV)/.test  ## Kill a bulk job KILLS times, from SEED on, and check that it never lies
	@PYTHONPATH=tests $(BIN)/python -X dev -m crash --kills $(KILLS) --seed $(SEED)

cancellations: COUNT = 2000
cancellations: $(VENV)/.test  ## Interrupt operations at random steps, for COUNT seeds from SEED on
	@PYTHONPATH=tests $(BIN)/python -m cancellations --count $(COUNT) --seed $(SEED)

shutdowns: COUNT = 50
shutdowns: $(VENV)/.test  ## Shut web backends down under load, COUNT times, from SEED on
	@PYTHONPATH=tests $(BIN)/python -m shutdowns --count $(COUNT) --seed $(SEED)

PARTS := call flame convert imports instructions memory inputs growth pacing late_wakeups processes journal five_days

bench: $(BENCH)/.installed  ## Measure calls beside other clients, start-up, memory, pace, the journal (PARTS='call memory')
	@for part in $(PARTS); do \
		test -e benchmarks/$$part.py || { echo "== $$part: not there"; continue; }; \
		if [ $$part = instructions ] && ! command -v valgrind > /dev/null; then \
			echo "== $$part: needs valgrind"; continue; fi; \
		echo "== $$part"; \
		$(MEASURE) benchmarks/$$part.py || failed="$$failed $$part"; \
	done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

bench-compare: $(BENCH)/.installed  ## Compare what calls cost with another commit (BASE=REV, ARGS='--rounds 15')
	@test -n "$(BASE)" || { echo "say with what: make bench-compare BASE=REV"; exit 2; }
	@$(MEASURE) benchmarks/compare.py $(ARGS) "$(BASE)"

# After a change of the groups `bench` or `rivals`; for all Pythons that are supported.
bench-pin: $(BENCH)/.installed  ## Pin the newest versions of what the benchmarks need
	@$(MEASURE) -m pip --quiet --disable-pip-version-check install uv
	@$(BENCH)/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade --no-annotate \
		--custom-compile-command 'make bench-pin' --extra cli --group bench --group rivals \
		--output-file benchmarks/requirements.txt pyproject.toml

architecture:  ## Print floors, rooms, arrows, circles and sizes of the package
	@$(PYTHON) tools/architecture.py $(ARGS)

check: $(VENV)/.lint  ## Format, lint and type checks
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@$(MAKE) --no-print-directory wheel

# The package lies flat beside the tests, so what is shipped is checked where nothing else is.
wheel: $(VENV)/.lint  ## Build the wheel, import it from an empty folder, verify that it is fully typed
	@rm -rf build/wheel && mkdir -p build/wheel/empty
	@$(PIP) wheel --no-deps --wheel-dir build/wheel .
	@$(PYTHON) -m venv build/wheel/venv
	@build/wheel/venv/bin/python -m pip --quiet --disable-pip-version-check install "$$(ls build/wheel/*.whl)[cli]" pytest
	@cd build/wheel/empty && ../venv/bin/python -c 'import gong_async; print("the wheel imports:", gong_async.__version__)'
	@cd build/wheel/empty && VIRTUAL_ENV="$$PWD/../venv" PATH="$$PWD/../venv/bin:$$PATH" \
		"$(abspath $(BIN))/pyright" --verifytypes gong_async --ignoreexternal > ../types.txt \
		|| { grep -E ' error:' ../types.txt; exit 1; }
	@grep score build/wheel/types.txt

format: $(VENV)/.lint  ## Format the code and mend what ruff can mend
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

test-all:  ## Run the tests on every Python that is supported
	@for version in 3.11 3.12 3.13; do \
		found=$$(ls -d "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$$version.*/bin/python 2>/dev/null | tail -n 1); \
		echo "== Python $$version"; \
		$(MAKE) --no-print-directory test VENV=.venvs/$$version PYTHON="$${found:-python$$version}" || exit 1; \
	done

clean:  ## Remove what was made
	@rm -rf .venv .venvs build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*

# The same targets for people and for CI. Each sets up what it needs.
# The word after `##` is the target's group in `make help`.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check
SOURCES := gong_async tests benchmarks examples tools

.DEFAULT_GOAL := help
.PHONY: help demo test coverage test-full test-newest fuzz crash cancellations shutdowns bench bench-compare bench-pin architecture check format test-all test-lowest wheel clean

help:  ## Try: Show these targets
	@for group in 'Try' 'Change' 'Test more' 'Stress' 'Measure' 'Tidy up'; do \
		echo "$$group"; \
		awk -v group="$$group: " -F ':.*## ' '/^[a-z-]+:.*## / && index($$2, group) == 1 \
			{printf "  make %-13s  %s\n", $$1, substr($$2, length(group) + 1)}' $(MAKEFILE_LIST); \
	done

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

# Other clients, with pinned versions, have an environment of their own. urllib3-future, which
# niquests needs, would replace the urllib3 of requests.
BENCH := .venvs/bench
MEASURE := $(BENCH)/bin/python

$(BENCH)/.installed: benchmarks/requirements.txt
	@$(MAKE) --no-print-directory VENV=$(BENCH) $(BENCH)/.created
	@URLLIB3_NO_OVERRIDE=1 $(MEASURE) -m pip --quiet --disable-pip-version-check install \
		--no-binary urllib3-future --requirement benchmarks/requirements.txt
	@$(MEASURE) -m pip --quiet --disable-pip-version-check install --no-deps --editable .
	@touch $@

demo: $(VENV)/.demo  ## Try: Update a few hundred meetings from a file, against the fake Gong
	@$(BIN)/python examples/demo/demo.py

# As many processes as there are cores; a bare `pytest` runs in one.
PYTEST_OPTIONS = pytest --numprocesses auto --maxprocesses 8 --dist worksteal
PYTEST = $(BIN)/python -X dev -W error -m $(PYTEST_OPTIONS)

test: $(VENV)/.test  ## Change: Run the tests, except the slow ones: about 4 minutes on two cores
	@echo "The tests take about 4 minutes on two cores. For the slow ones: make test-full"
	@$(PYTEST) $(ARGS)

coverage: $(VENV)/.test  ## Change: Run `make test` and report branch coverage: about 6 minutes
	@echo "The tests take about 6 minutes on two cores with coverage."
	@rm -f .coverage .coverage.*
	@$(BIN)/python -X dev -W error -m coverage run -m $(PYTEST_OPTIONS) $(ARGS)
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report

# These depend on the event loop and on the HTTP parser, so they run with the other ones as well.
SURROUNDINGS := tests/faults tests/bulk tests/oauth

CORE := tests/faults tests/resources tests/test_client.py tests/test_pipeline.py tests/bulk/test_update_many.py

test-full: $(VENV)/.test  ## Test more: Run the slow tests; fault tests also under uvloop and with other parts of aiohttp
	@echo "The slow tests take about 16 minutes on two cores."
	@$(PYTEST) --full -m "full or hypothesis" $(ARGS)
	@echo "Faults, bulk jobs and OAuth under uvloop:"
	@$(PYTEST) --full --uvloop $(SURROUNDINGS) $(ARGS)
	@echo "... and with aiohttp's Python parser:"
	@AIOHTTP_NO_EXTENSIONS=1 $(PYTEST) --full $(SURROUNDINGS) $(ARGS)
	@echo "... and the faults through aiohttp's documented API:"
	@$(PYTEST) --documented-aiohttp tests/faults $(ARGS)

COUNT ?= 1000000
fuzz: $(VENV)/.test  ## Stress: Answer calls with damaged bytes (COUNT=1000000, ARGS='--seed 7')
	@PYTHONPATH=tests $(BIN)/python -m fuzz --count $(COUNT) $(ARGS)

# Verifies the lower bounds in pyproject.toml.
test-lowest: VENV := .venvs/lowest
test-lowest:  ## Test more: Run the tests with the oldest supported version of each dependency
	@$(MAKE) --no-print-directory VENV=.venvs/lowest .venvs/lowest/.created
	@.venvs/lowest/bin/python .ci/lowest.py > .venvs/lowest/constraints.txt
	@.venvs/lowest/bin/python -m pip --quiet --disable-pip-version-check install \
		--constraint .venvs/lowest/constraints.txt --editable '.[cli,redis]' --group test
	@$(PYTEST) $(ARGS)

# aiohttp alone may be a pre-release; the project's own bounds hold. Upgraded in every run.
test-newest: VENV := .venvs/newest
test-newest:  ## Test more: Run the core tests with the newest aiohttp, pre-releases included: 3 minutes
	@$(MAKE) --no-print-directory VENV=.venvs/newest .venvs/newest/.test
	@.venvs/newest/bin/python -m pip --quiet --disable-pip-version-check install \
		--pre --upgrade 'aiohttp<4'
	@.venvs/newest/bin/python -c 'import aiohttp; print("aiohttp", aiohttp.__version__)'
	@$(PYTEST) $(CORE) $(ARGS)

KILLS ?= 500
SEED ?= 1

crash: $(VENV)/.test  ## Stress: Kill a bulk job repeatedly and check its journal (KILLS=500, SEED=1)
	@PYTHONPATH=tests $(BIN)/python -X dev -m crash --kills $(KILLS) --seed $(SEED)

cancellations: COUNT = 2000
cancellations: $(VENV)/.test  ## Stress: Cancel operations at random steps (COUNT=2000, SEED=1)
	@PYTHONPATH=tests $(BIN)/python -m cancellations --count $(COUNT) --seed $(SEED)

shutdowns: COUNT = 50
shutdowns: $(VENV)/.test  ## Stress: Shut down web backends under load (COUNT=50, SEED=1)
	@PYTHONPATH=tests $(BIN)/python -m shutdowns --count $(COUNT) --seed $(SEED)

PARTS := call flame convert imports instructions memory inputs growth pacing late_wakeups processes journal five_days

bench: $(BENCH)/.installed  ## Measure: Compare cost with other clients; start-up, memory, rate, journal (PARTS='call memory')
	@for part in $(PARTS); do \
		test -e benchmarks/$$part.py || { echo "== $$part: no such benchmark"; continue; }; \
		if [ $$part = instructions ] && ! command -v valgrind > /dev/null; then \
			echo "== $$part: needs valgrind"; continue; fi; \
		echo "== $$part"; \
		$(MEASURE) benchmarks/$$part.py || failed="$$failed $$part"; \
	done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

bench-compare: $(BENCH)/.installed  ## Measure: Compare the cost of calls with another commit (BASE=REV, ARGS='--rounds 15')
	@test -n "$(BASE)" || { echo "BASE is missing: make bench-compare BASE=REV"; exit 2; }
	@$(MEASURE) benchmarks/compare.py $(ARGS) "$(BASE)"

# Run it after a change of the groups `bench` or `rivals`; it covers all supported Pythons.
bench-pin: $(BENCH)/.installed  ## Measure: Pin the newest versions of what the benchmarks need
	@$(MEASURE) -m pip --quiet --disable-pip-version-check install uv
	@$(BENCH)/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade --no-annotate \
		--custom-compile-command 'make bench-pin' --extra cli --group bench --group rivals \
		--output-file benchmarks/requirements.txt pyproject.toml

architecture:  ## Change: Print floors, rooms, arrows, circles and sizes of the package
	@$(PYTHON) tools/architecture.py $(ARGS)

check: $(VENV)/.lint  ## Change: Check format, lint and types, and the wheel in an empty folder
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@$(MAKE) --no-print-directory wheel

# The package is a folder beside the tests, so the wheel is checked in a folder of its own.
wheel: $(VENV)/.lint  ## Test more: Build the wheel, import it in an empty folder, verify its files and types
	@rm -rf build/wheel && mkdir -p build/wheel/empty
	@$(PIP) wheel --no-deps --wheel-dir build/wheel .
	@$(PYTHON) -m venv build/wheel/venv
	@build/wheel/venv/bin/python -m pip --quiet --disable-pip-version-check install "$$(ls build/wheel/*.whl)[cli]" pytest
	@cd build/wheel/empty && ../venv/bin/python -c 'import gong_async; print("the wheel imports:", gong_async.__version__)'
	@cd build/wheel/empty && ../venv/bin/python -P "$(abspath .ci/wheel.py)"
	@cd build/wheel/empty && VIRTUAL_ENV="$$PWD/../venv" PATH="$$PWD/../venv/bin:$$PATH" \
		"$(abspath $(BIN))/pyright" --verifytypes gong_async --ignoreexternal > ../types.txt \
		|| { grep -E ' error:' ../types.txt; exit 1; }
	@grep score build/wheel/types.txt

format: $(VENV)/.lint  ## Change: Format the code and apply the fixes of ruff
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

test-all:  ## Test more: Run the tests on Python 3.11, 3.12 and 3.13
	@for version in 3.11 3.12 3.13; do \
		found=$$(ls -d "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$$version.*/bin/python 2>/dev/null | tail -n 1); \
		echo "== Python $$version"; \
		$(MAKE) --no-print-directory test VENV=.venvs/$$version PYTHON="$${found:-python$$version}" || exit 1; \
	done

clean:  ## Tidy up: Remove everything that make created
	@rm -rf .venv .venvs build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*

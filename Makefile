# Everything a person or CI does here; `make help` lists it. Nothing writes .env.

PYTHON ?= python3
PORT ?= 8000
DATA_DIR ?= .data
# Twice the cores: half of the time of the slow tests is waiting for slots of a chain.
PYTEST_ARGS ?= -n $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN)))) --dist loadfile --no-loadscope-reorder
export PORT DATA_DIR

BIN := .venv/bin
INSTALLED := .venv/.installed
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-strip-extras --no-header --no-emit-index-url --no-emit-find-links

.DEFAULT_GOAL := help
.PHONY: help install lint test coverage fuzz chaos bench demo lock format clean browser model model-long

help: ## Lists these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Makes .venv with everything the demo and the tests need

$(INSTALLED): requirements/dev.txt
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON): install Python 3.11 or later, or set PYTHON"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$($(PYTHON) --version) is too old: install Python 3.11 or later, or set PYTHON"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make a virtual environment: install python3-venv"; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || { echo "Making .venv"; $(PYTHON) -m venv --clear .venv; }
	@echo "Installing requirements/dev.txt into .venv (the first time takes a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input \
		--no-deps --require-hashes -r requirements/dev.txt
	@touch $@

lint: install ## Style, types, arrows between modules, missing migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python manage.py makemigrations --check --dry-run

test: install browser ## Every test: unit, integration, browser (PYTEST_ARGS to choose)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

# Apart from `test`, because the tracer doubles what the tests cost (without it: half the time).
coverage: install browser ## The same, measured in child processes too: at least 90 % of lines and branches
	@$(BIN)/python -m pytest --cov --cov-report=term $(PYTEST_ARGS)

fuzz: install ## Schemathesis over the whole API, for long (FUZZ_EXAMPLES=100)
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-100} $(BIN)/python -m pytest -n 0 tests/minting/api/test_schemathesis.py

chaos: install ## 10,000 readings, 200 kills, nothing lost or doubled (CHAOS_ARGS: --seed N …)
	@exec $(BIN)/python -m chaos $(CHAOS_ARGS)

bench: install ## How fast and how cheap, beside one by one and the seed's listing (BENCH_ARGS: --quick …)
	@exec $(BIN)/python -m bench $(BENCH_ARGS)

# The system's Chromium, or Playwright's own; without either, browser tests say that they skip.
browser: install
	@command -v chromium >/dev/null || $(BIN)/python -m playwright install chromium >/dev/null 2>&1 \
		|| echo "No Chromium here and none to be downloaded: browser tests will be skipped"

demo: install ## Runs it all here: database, chain, worker, web (PORT, DATA_DIR)
	@exec $(BIN)/python -m gridtoken.demo

model: ## Searches the formal model of the protocol and nine mistakes (needs spin and gcc)
	@PYTHONPATH=. $(PYTHON) model/check.py

model-long: install ## Journal and chain under drawn faults, for long (MODEL_EXAMPLES=200)
	@MODEL_EXAMPLES=$${MODEL_EXAMPLES:-200} $(BIN)/python -m pytest -n 0 tests/minting/test_state_machine.py

format: install ## Rewrites the code in the house's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install ## Writes requirements/*.txt anew from requirements/*.in (UPGRADE=--upgrade: newest)
	$(BIN)/$(COMPILE) $(UPGRADE) requirements/base.in --output-file requirements/base.txt
	$(BIN)/$(COMPILE) $(UPGRADE) --constraints requirements/base.txt requirements/dev.in --output-file requirements/dev.txt

clean: ## Takes away what tools left behind; .venv and DATA_DIR stay
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* artifacts
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +

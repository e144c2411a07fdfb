# Every target sets up what it needs: the first call builds .venv from requirements.lock, the next are instant.
# Arguments go through ARGS: make paper-run ARGS="--dry-run"

PYTHON ?= python3
ARGS   ?=
PORT   ?= 3000

# One that is named is the one that is meant; else any of the right age.
PYTHONS := $(PYTHON) $(if $(filter file,$(origin PYTHON)),python3.13 python3.12 python3.11)

VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TOOLS  := .venv-tools
UV_PIN := 0.13.8
UV     := $(shell uv --version >/dev/null 2>&1 && command -v uv || echo $(BIN)/uv)
SOURCE := trading_pipeline trading_pipeline_tests docs .ci

# An interpreter that is gone takes the stamp with it.
$(shell test -x $(BIN)/python || rm -f $(READY))

export DAGSTER_HOME := $(CURDIR)
export DAGSTER_DISABLE_TELEMETRY ?= 1
export DAGSTER_EVENT_BATCH_SIZE ?= 1000
export DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS ?= 1
export UV_COMPILE_BYTECODE := 1
export UV_HTTP_TIMEOUT ?= 180
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory
.PHONY: help setup paper-run status ui test coverage soak bench browser check lint types layers definitions deployment fix site \
  audit lock

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(READY) ## Build .venv from requirements.lock
	@echo "ready: $$($(BIN)/python --version) in $(VENV)"

paper-run: $(READY) ## Run one trading day on paper (ARGS="--dry-run", "--help", …)
	@$(BIN)/trading-pipeline paper-run $(ARGS)

status: $(READY) ## Say where the book, the orders and the services stand
	@$(BIN)/trading-pipeline status $(ARGS)

ui: $(READY) ## Open Dagster on this machine only (PORT=3000)
	@$(BIN)/trading-pipeline ui --host 127.0.0.1 --port $(PORT) $(ARGS)

test: $(READY) ## Run all tests, three at a time since some wait (ARGS="-k ledger" for some)
	PYTHONWARNINGS=ignore::ResourceWarning $(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

coverage: ## Run all tests and say what no test runs, which takes half as long again
	@$(MAKE) test ARGS="--cov --cov-report=term $(ARGS)"

soak: $(READY) ## Run the full-size tests, which take minutes each, and each property on 500 examples
	PYTHONWARNINGS=ignore::ResourceWarning $(BIN)/python -m pytest -m "soak or hypothesis" --hypothesis-profile=thorough $(ARGS)

bench: $(READY) ## Measure, and write the figures to a file
	@$(BIN)/python -m trading_pipeline_tests.benchmarks $(ARGS)

browser: $(READY) $(TOOLS)/.ready ## Use the web UI with a real Chromium; screenshots in build/screenshots
	PYTHONWARNINGS=ignore::ResourceWarning $(BIN)/python -m pytest -m soak trading_pipeline_tests/test_browser.py $(ARGS)

check: lint types layers definitions deployment ## Judge the code: style, types, layers, definitions, deployment

lint: $(READY)
	$(BIN)/ruff check $(SOURCE)
	$(BIN)/ruff format --check $(SOURCE)

types: $(READY)
	$(BIN)/basedpyright --pythonpath $(BIN)/python

layers: $(READY)
	$(BIN)/lint-imports --no-logo

definitions: $(READY)
	PYTHONWARNINGS=ignore:Function $(BIN)/dagster definitions validate -m trading_pipeline.definitions

# actionlint asks the shellcheck on the path about the commands inside workflows.
deployment: $(TOOLS)/.ready
	$(TOOLS)/bin/hadolint Dockerfile
	$(TOOLS)/bin/shellcheck .ci/run docs/deploy/*.sh
	PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" $(TOOLS)/bin/actionlint

fix: $(READY) ## Mend what can be mended by a tool: imports, style, generated docs
	$(BIN)/ruff check --fix $(SOURCE)
	$(BIN)/ruff format $(SOURCE)
	$(BIN)/python docs/generate.py

site: $(READY) ## Build the documentation as a site in build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build $(ARGS)  # --quiet would also overlook warnings
	@echo "build/site/index.html"

audit: $(READY) $(TOOLS)/.ready ## Judge every locked package: hash, wheel, yanked, licence, known weaknesses; silence is no answer
	@$(BIN)/python .ci/audit.py $(UV) $(TOOLS)/bin/pip-audit $(VENV)=requirements.lock $(TOOLS)=requirements-tools.lock

lock: | $(BIN)/python $(UV) ## Resolve both lock files again (ARGS="--upgrade" for newer versions)
	$(COMPILE) --extra dev --extra scale $(ARGS) pyproject.toml --output-file requirements.lock
	$(COMPILE) --group tools --constraint requirements.lock $(ARGS) --output-file requirements-tools.lock

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

# sync removes what the lock does not name, the project too: hence the project comes last.
$(READY): requirements.lock pyproject.toml | $(BIN)/python $(UV)
	@echo "setting up $(VENV) from requirements.lock (once, about a minute)"
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# What looks at the product from outside: a second environment, so that the first is the lock and no more.
$(TOOLS)/.ready: requirements-tools.lock | $(BIN)/python $(UV)
	@$(BIN)/python -m venv --clear $(TOOLS)
	@$(UV) pip sync --quiet --python $(TOOLS)/bin/python --require-hashes requirements-tools.lock
	@touch $@

$(BIN)/python:
	@for python in $(PYTHONS); do \
	  $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || continue; \
	  $$python -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$$python has no venv module: install it (Debian, Ubuntu: apt-get install python3-venv), then run make again." >&2; \
	    exit 1; }; \
	  $$python -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }; \
	  exit 0; \
	done; \
	echo "CPython 3.11, 3.12 or 3.13 is needed, and $(PYTHON) is not one: install one, or name it: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; \
	exit 1

$(BIN)/uv: | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_PIN)

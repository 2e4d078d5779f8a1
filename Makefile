# Two commands do everything: `make demo` runs the main job, `make test` passes the tests.
# Both install what they need (Debian, as root) and keep what is slow to make in the user's cache folder.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The lock pins Python 3.11 wheels: Debian 12's own Python, and that of our images.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Where the pinned CPU build of PyTorch comes from when pip's own configuration does not know it.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
export TORCH_INDEX
EXTRAS := operator trainer inference dev
VENV := .venv
RUN := $(VENV)/bin/python
MEASURING := build/measuring
READY := $(VENV)/.ready-$(shell cat requirements/dev.txt pyproject.toml | sha256sum | cut -c1-12)

.PHONY: help setup demo down test lint unit bench bench-quality images lock reference

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY) ## create .venv with everything for development

$(READY): requirements/dev.txt pyproject.toml
	@PYTHON="$(PYTHON)" bash requirements/install.sh $(VENV)
	@touch $@

demo: setup ## on a real Kubernetes: learn a voice from ten minutes of speech, convert with it (STORE=oss: over OSS)
	@$(RUN) -m tests.demo

down: setup ## remove the cluster that the demo started (caches stay)
	@$(RUN) -m tests.cluster down

images: setup ## build the three images (build/images)
	@$(RUN) -m tests.cluster images

lint: setup ## ruff, mypy, import contracts
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@PYTHONPATH=.:operator:trainer-image:inference-image $(VENV)/bin/lint-imports

unit: setup ## only the tests that need no Kubernetes
	@$(RUN) -m pytest -q -n 2 -m "not cluster and not node"

test: setup ## everything: lint, unit tests, operator on a real API server, end to end on a real node
	@$(RUN) -m tests.run

bench: setup ## print what is measured, with the command that measured it (ONLY=name for one)
	@$(RUN) -m benchmarks $(if $(ONLY),--only $(ONLY))

bench-quality: setup $(MEASURING) ## learn voices, measure how good they are (MINUTES=10 RATE="32000 40000" EPOCHS=20 SOURCES=folder)
	@PYTHONPATH=$(MEASURING) $(RUN) -m benchmarks.quality $(if $(MINUTES),--minutes $(MINUTES)) $(if $(RATE),--rate $(RATE)) $(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(SOURCES),--sources $(SOURCES))

$(MEASURING): requirements/measuring.txt | setup
	@echo "installing speech measures into $@ (some 200 MB to download)"
	@rm -rf $@ && $(VENV)/bin/pip install -q --disable-pip-version-check --no-deps --require-hashes --target $@ -r $<
	@touch $@

reference: setup ## write crds/, docs/reference.md and docs/reasons.md anew from the typed views
	@$(RUN) -m crds.generate && $(RUN) -m docs.generate_reference

lock: ## pin all dependencies anew, with hashes
	@bash requirements/lock.sh $(EXTRAS)

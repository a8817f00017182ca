.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help compare test check

help:  ## list the commands
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

compare: .venv/ready  ## print the report's tables and draw its figures into results/ (ARGS="--help")
	@$(BIN)/python scripts/compare.py $(ARGS)

test: .venv/ready  ## run the tests
	@$(BIN)/python -m pytest $(ARGS)

check: .venv/ready  ## check format, lint and types
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/pyright

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

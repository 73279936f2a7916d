# virtlab: two commands matter, `make lab` and `make test`.
# PYTHON is the Python that makes .venv; ARGS goes to the command behind a target.

PYTHON ?= python3
ARGS   ?=
EXTRAS := test,grading,cluster,x86
BIN    := .venv/bin
UV      = $(shell command -v uv || echo $(BIN)/uv)
SETUP  := $(PYTHON) scripts/bootstrap.py
DEV    := $(SETUP) --extras $(EXTRAS)

.DEFAULT_GOAL := help
.PHONY: help lab slides test coverage lint notebooks exercises bench constraints clean
MAKEFLAGS += --no-print-directory

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  Options:  PYTHON=python3.12   the Python to use'
	@echo '            ARGS="--port 9000"  more for the command behind the target'

lab: ## open the course in JupyterLab on lesson 00
	@$(SETUP) && exec $(BIN)/virtlab lab $(ARGS)

slides: ## make a deck of slides for each lesson in build/slides
	@$(SETUP) && exec $(BIN)/virtlab slides --out build/slides $(ARGS)

test: ## run everything: lint, types, tests, notebooks, exercises, browser
	@$(DEV) && exec $(BIN)/python scripts/test.py $(ARGS)

coverage: ## which lines and branches of the library the tests reach: 98 % at least
	@$(DEV) && exec $(BIN)/python scripts/test.py coverage

lint: ## ruff and mypy only
	@$(DEV) && exec $(BIN)/python scripts/test.py lint format types

notebooks: ## run the lessons' text and store the notebooks with their outputs
	@$(DEV) && $(BIN)/python scripts/index.py && exec $(BIN)/python scripts/notebooks.py $(ARGS)

exercises: ## make exercises/ from solutions/
	@$(DEV) && exec $(BIN)/python scripts/exercises.py $(ARGS)

bench: ## measure the ratios
	@if [ -e benchmarks/__main__.py ]; then $(DEV) && exec $(BIN)/python -m benchmarks $(ARGS); \
	else echo 'no benchmarks yet'; fi

# Pins that still fit are kept; ARGS=--upgrade takes the newest. No registry may be named in the file.
constraints: ## pin every dependency in constraints.txt
	@$(UV) pip compile --quiet --universal --python-version 3.11 --no-emit-index-url \
	    --no-annotate --no-header --all-extras pyproject.toml -o constraints.txt $(ARGS)
	@! grep -nE '://|file:|--(extra-)?index|--find-links' constraints.txt

clean: ## remove what is made: build/, caches (not .venv)
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name .venv -prune -o -name __pycache__ -type d -print -o -name .ipynb_checkpoints -type d -print \
	    | xargs -r rm -rf

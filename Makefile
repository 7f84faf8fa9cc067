# Everything that a newcomer types; the work is done by the scripts in .make/.
.DEFAULT_GOAL := help
.PHONY: help setup setup-test demo test lint wheel bench faults soak screenshots download-size clean
.NOTPARALLEL:

PYTHON := .venv/bin/python
ARGS ?=

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' Makefile | while IFS='|' read -r target text; do printf '%-26s %s\n' "  $$target" "$$text"; done

demo: setup ## the embedded classroom, no server, Nano or webcam needed: the window, or the terminal (ARGS=--headless)
	@$(PYTHON) -m ai_nano demo $(ARGS)

test: setup-test lint ## all lints and tests (ARGS="-k split" picks some)
	@bash .make/test $(ARGS)

setup: ## what the demo needs, once: .venv with the packages
	@bash .make/setup demo

setup-test: ## what the tests need, once
	@bash .make/setup test

lint: setup-test ## ruff, mypy, vermin and the directions of import
	@bash .make/lint

wheel: setup-test ## dist/ai_nano-*.whl
	@$(PYTHON) -m build --wheel --no-isolation

bench: setup-test ## figures for doc/results.md (not a test: machines are noisy)
	@$(PYTHON) -m tests.bench.local
	@$(PYTHON) -m tests.bench.upload
	@$(PYTHON) -m tests.bench.window
	@$(PYTHON) -m tests.bench.gallery
	@$(PYTHON) -m tests.bench.recording --seconds 60
	@$(PYTHON) -m tests.bench.journey
	@$(PYTHON) -m tests.bench.press
	@$(PYTHON) -m tests.bench.nano --frames 240 --seconds 5
	@$(PYTHON) -m tests.bench.training --per-class 30 --seeds 1 --recipes quick || test $$? -eq 4

faults: setup-test ## 20 seeds of real faults, about 10 min: cut links, killed processes, full disks (ARGS="--seeds 3")
	@$(PYTHON) -m tests.faults $(ARGS)

soak: setup-test ## a class of 30 laptops against one sshd and Slurm (ARGS="--laptops 8 --scheduler direct")
	@$(PYTHON) -m tests.soak $(ARGS)

screenshots: setup-test ## doc/screenshots/: all pages from a real run, light and dark, English and French, two sizes
	@$(PYTHON) tests/gui/screenshots.py

download-size: setup-test ## measures what a first start downloads
	@bash .make/download-size.sh

clean: ## removes everything that make made, the environments too
	rm -rf .venv .venv-nano .venv-nano-gpio build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The front door. `make` alone lists what there is; everything else is one line a person could type.
# .env is never included here: python-dotenv is its only parser.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
TEN := $(VENV)/bin/ten
JOB ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint format bench lock plan pack train-streaming train-pretok train-full verify clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

setup: $(VENV)/ready ## make the virtual environment

$(VENV)/ready: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name another with PYTHON=")'
	@echo "installing into $(VENV): a minute or two"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.lock)"
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: setup ## pack, train, score and sample on this machine: no GPU, no account, three minutes
	$(TEN) pack jobs/demo.yaml $(ARGS)
	$(TEN) train jobs/demo.yaml $(ARGS)
	$(TEN) generate demo-stdlib-nano --prompt "def " --max-tokens 160

test: setup lint ## everything that must be green, in under ten minutes on two cores
	$(VENV)/bin/pytest --numprocesses auto --dist loadfile -m "not slow and not gpu"

test-slow: setup ## the tests that take minutes
	$(VENV)/bin/pytest -m slow

lint: setup ## style and types
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

format: setup ## put the code into shape
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

bench: setup ## every benchmark's quick form; dated reports lie under benchmarks/reports
	@for script in pack loader scan first_step stream scale quality; do echo "== $$script"; $(VENV)/bin/python benchmarks/$$script.py --quick || exit 1; done

lock: setup ## pin what is installed now
	$(VENV)/bin/pip freeze --exclude-editable | sed 's/+cpu$$//' | grep -vE '^(nvidia|triton|cuda)' > requirements.lock

plan: setup ## count a job before anything is made: make plan JOB=jobs/train-pretok.yaml
	$(TEN) plan $(or $(JOB),jobs/train-streaming.yaml) $(ARGS)

pack: setup ## pack the data set once: make pack [JOB=…] [ARGS="--set data.dataset=…"]
	$(TEN) pack $(or $(JOB),jobs/pack.yaml) $(ARGS)

train-streaming: setup ## train at once, packing on the way
	$(TEN) train $(or $(JOB),jobs/train-streaming.yaml) $(ARGS)

train-pretok: setup ## train on what `make pack` made
	$(TEN) train $(or $(JOB),jobs/train-pretok.yaml) $(ARGS)

train-full: setup ## download and pack everything, then train
	$(TEN) train $(or $(JOB),jobs/train-full.yaml) $(ARGS)

verify: setup ## check every byte of packs and checkpoints
	$(TEN) verify $(ARGS)

clean: ## remove the environment and caches; never packs or runs
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

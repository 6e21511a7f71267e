# The front door. `make` alone lists what there is; everything else is one line a person could type.
# .env is never included here: python-dotenv is its only parser. What runs in a container or beside it: docker/run.sh.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
TEN := $(VENV)/bin/ten
# JOB=jobs/other.yaml, ARGS="--set train.steps=100", VARIANT=cuda|cpu of the image to make, and for docker/run.sh:
# ENGINE=docker|podman|none, IMAGE=name, GPUS=all|none|0,1, NAME=container, ENGINE_ARGS="…", DRY=1
JOB ?=
ARGS ?=
VARIANT ?= $(if $(shell command -v nvidia-smi),cuda,cpu)
SHELL_FILES := $(wildcard docker/*.sh infra/*.sh) .ci/run
export ENGINE IMAGE GPUS NAME ENGINE_ARGS DRY VENV
YAMLLINT := {extends: default, rules: {line-length: {max: 120}, document-start: disable, comments: {min-spaces-from-content: 1}}}

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow soak lint format bench lock schema image image-test image-lock plan doctor pack \
  train-streaming train-pretok train-full logs stop up ps ssh down reap sizes verify clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18
	@echo
	@echo 'JOB=jobs/other.yaml  ARGS="--set train.steps=100"  GPUS=all|none|0,1  IMAGE=name  ENGINE=docker|podman|none  DRY=1'

setup: $(VENV)/ready ## make the virtual environment

$(VENV)/ready: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name another with PYTHON=")'
	@echo "installing into $(VENV), 3 GB with all that the tests want, some minutes: torch first (1 of 3)"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.lock)"
	@echo "the other packages (2 of 3)"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@echo "ten itself (3 of 3)"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: setup ## pack, train, score and sample on this machine: no GPU, no account, some minutes
	$(TEN) pack jobs/demo.yaml $(ARGS)
	$(TEN) train jobs/demo.yaml $(ARGS)
	$(TEN) generate demo-stdlib-nano --prompt "def " --max-tokens 160
	$(TEN) report demo-stdlib-nano

test: setup lint ## everything that must be green, the image too where one can be built; some twenty minutes on two cores
	$(VENV)/bin/pytest --numprocesses auto --dist loadfile -m "not slow and not gpu"
	docker/test-image.sh --or-skip

test-slow: setup ## the tests that take minutes
	$(VENV)/bin/pytest -m slow

soak: setup ## survive 200 faults in packing and training: make soak [SEED=7] [MINUTES=60] [FAULTS=200]
	$(VENV)/bin/python -m tests.soak $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) \
	  $(if $(FAULTS),--faults $(FAULTS)) $(ARGS)

lint: setup ## style, types, job files, shell scripts
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/yamllint --strict -d '$(YAMLLINT)' jobs docker/compose.yaml
	$(VENV)/bin/check-jsonschema --check-metaschema jobs/schema/job.schema.json
	$(VENV)/bin/check-jsonschema --schemafile jobs/schema/job.schema.json jobs/*.yaml
	$(VENV)/bin/shellcheck -x $(SHELL_FILES)
	$(VENV)/bin/shfmt -i 2 -ci -d $(SHELL_FILES)
	$(VENV)/bin/hadolint Dockerfile
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml

format: setup ## put the code into shape
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format
	$(VENV)/bin/shfmt -i 2 -ci -w $(SHELL_FILES)

bench: setup ## every benchmark's quick form; dated reports lie under benchmarks/reports
	@for script in pack loader scan first_step stream scale quality gpu; do echo "== $$script"; $(VENV)/bin/python benchmarks/$$script.py --quick || exit 1; done

lock: setup ## pin what is installed now
	$(VENV)/bin/pip freeze --exclude-editable | sed 's/+cpu$$//' | grep -vE '^(nvidia|cuda)' > requirements.lock

schema: setup ## write the JSON Schema of job files anew
	$(VENV)/bin/python -m ten.schema > jobs/schema/job.schema.json

image: ## build the image on this machine: make image [VARIANT=cuda|cpu] [ENGINE=podman]
	docker/build.sh $(or $(IMAGE),ten:$(VARIANT)) $(VARIANT)

image-test: ## build the CPU image and run it as a stranger would: fenced, without a network, stopped in the middle
	docker/test-image.sh $(IMAGE)

image-lock: setup ## pin what the image installs, wheel by wheel, after `make lock`
	$(VENV)/bin/python docker/lock.py

plan: setup ## count a job before anything is made: make plan JOB=jobs/train-pretok.yaml
	$(TEN) plan $(or $(JOB),jobs/train-streaming.yaml) $(ARGS)

doctor: setup ## what is wrong with a job, this machine, the store, the keys: make doctor JOB=jobs/train-pretok.yaml
	@docker/run.sh where
	$(TEN) doctor $(or $(JOB),jobs/train-streaming.yaml) $(ARGS)

pack: ## pack the data set once: make pack [JOB=…] [ARGS="--set data.dataset=…"]
	@NAME=$(or $(NAME),ten-$@) docker/run.sh pack $(or $(JOB),jobs/pack.yaml) $(ARGS)

train-streaming: ## train at once, packing on the way
	@NAME=$(or $(NAME),ten-$@) docker/run.sh train $(or $(JOB),jobs/train-streaming.yaml) $(ARGS)

train-pretok: ## train on what `make pack` made
	@NAME=$(or $(NAME),ten-$@) docker/run.sh train $(or $(JOB),jobs/train-pretok.yaml) $(ARGS)

train-full: ## download and pack everything, then train
	@NAME=$(or $(NAME),ten-$@) docker/run.sh train $(or $(JOB),jobs/train-full.yaml) $(ARGS)

logs: ## what the job in the container says; without one, that on the droplet
	@docker/run.sh logs $(ARGS)

stop: ## stop the job in the container, with a checkpoint
	@docker/run.sh stop

up: setup ## rent a droplet for a job: make up JOB=jobs/train-pretok.yaml [DRY=1]
	$(TEN) up $(or $(JOB),jobs/train-pretok.yaml) $(if $(DRY),--dry-run) $(ARGS)

ps: setup ## our droplets: age, dollars so far, lease left, last checkpoint
	$(TEN) ps $(ARGS)

ssh: setup ## log in to the droplet: make ssh [ARGS="RUN nvidia-smi"]
	$(TEN) ssh $(ARGS)

down: setup ## stop the droplet's job, prove its checkpoint in the store, destroy the droplet [FORCE=1]
	$(TEN) down $(if $(FORCE),--force) $(ARGS)

reap: setup ## destroy every droplet that has outlived its lease [DRY=1]
	$(TEN) reap $(if $(DRY),--dry-run) $(ARGS)

sizes: setup ## what can be rented now, at which price
	$(TEN) sizes $(ARGS)

verify: setup ## check every byte of packs and checkpoints
	$(TEN) verify $(ARGS)

clean: ## remove the environment and caches; never packs or runs
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

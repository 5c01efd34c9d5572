# Each target prepares what it needs (.ci/setup says what and why) and calls one command.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check scenarios bench deb image layers format lock sample vendor picture screenshot clean

# dockerd, network namespaces and the containers' files need root.
ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo --preserve-env=ONCE,CI)
RUN := env PYTHONDONTWRITEBYTECODE=1 .venv/bin
CODE := wharfinger registrar discovery logshipper
PYTEST_ARGUMENTS ?=

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## install what is missing, run nothing
	@.ci/setup

demo: setup ## the main job, for real, in one go (ONCE=1 ends by itself)
	@$(ROOT) $(RUN)/wharfinger demo

test: setup ## every test below 15 minutes
	$(ROOT) $(RUN)/pytest -n 3 --dist loadfile -m "not scenario" $(PYTEST_ARGUMENTS)

# It looks whether anything is left on the whole machine, so it runs by itself. The others start
# what they need below folders and in namespaces of their own, and wait more than they work: those
# of releases most, and they ask for no time.
DEMO := tests/scenarios/test_demo.py
RELEASES := tests/scenarios/test_deploy_*.py
SCENARIOS := $(ROOT) $(RUN)/pytest -m scenario --dist loadfile

scenarios: setup ## the long fault scenarios
	$(SCENARIOS) $(DEMO) $(PYTEST_ARGUMENTS)
	$(SCENARIOS) -n 2 --ignore=$(DEMO) --ignore-glob='$(RELEASES)' $(PYTEST_ARGUMENTS)
	$(SCENARIOS) -n 3 $(RELEASES) $(PYTEST_ARGUMENTS)

check: ## format, lint, types, import contracts
	@.ci/setup python
	$(RUN)/ruff format --check .
	$(RUN)/ruff check --no-cache .
	$(RUN)/mypy --cache-dir build/mypy
	$(RUN)/lint-imports --no-cache

deb: ## build/wharfinger_VERSION_ARCHITECTURE.deb
	@.ci/setup python
	@deploy/debian/build

image: ## the agents' images, wharfinger:VERSION and wharfinger-edge:VERSION
	@.ci/setup python
	@$(ROOT) deploy/images/agent/build

layers: ## the layers below applications, wharfinger/debian, /nginx and so on (NAMES="nginx" for some)
	@.ci/setup python
	@$(ROOT) deploy/images/build $(NAMES)

format: ## write the format and the safe fixes
	@.ci/setup python
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

bench: setup ## the benchmarks, each with its table
	@for bench in bench/*.py; do echo "== $$bench"; $(ROOT) $(RUN)/python $$bench || exit; done

lock: ## resolve the dependencies anew, with hashes
	@.ci/setup python
	$(RUN)/python -m pip install --quiet uv
	for set in "" "-dev"; do \
	  .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links --upgrade $$([ -n "$$set" ] && echo --group dev) pyproject.toml \
	    --output-file requirements$$set.lock; done

vendor: ## fetch the libraries of the log page anew, through npm
	@.ci/vendor

sample: ## write deploy/wharfinger.toml from the models
	@.ci/setup python
	$(RUN)/wharfinger config --sample > deploy/wharfinger.toml

picture: setup ## record the README's picture from a real run of the demo
	$(ROOT) env ONCE=1 $(RUN)/wharfinger demo --svg wharfinger/operator/demo/demo.svg

screenshot: setup ## take the README's pictures of the log page and the fleet page
	$(RUN)/python -m tests.page.picture logshipper/store/http/page.png logshipper/store/http/fleet.png

clean: ## remove what was built, keep the clone
	rm -rf .venv build dist .hypothesis .mypy_cache .ruff_cache .import_linter_cache

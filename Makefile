# What can be done with a checkout. `make` alone says what.

PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
CODE := $(sort $(wildcard finops_*)) tests $(wildcard benchmarks)
# A journey is minutes of waiting for real processes; begun last, one worker would wait for it alone.
LONGEST_FIRST := tests/journeys tests
BENCHMARKS := $(filter-out __init__ serving warehouse,$(basename $(notdir $(sort $(wildcard benchmarks/*.py)))))
WEB := finops_api/web/index.html
WEB_SOURCES := .ci/web .ci/node $(shell find dashboard \( -name node_modules -o -name dist \) -prune -o -type f -print)
LOCK := $(VENV)/bin/uv pip compile --quiet --generate-hashes --no-strip-extras --python-version 3.11 --universal

.DEFAULT_GOAL := help
.PHONY: help setup web demo test prove lint bench lock browser redis

help: ## Say what can be made
	@awk -F ' ## ' '/^[a-z]+:.* ## / { sub(/:.*/, "", $$1); printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Make .venv with everything pinned; does nothing when it is up to date

# The stamp is newer than what it was made from; a setup that was interrupted leaves none and starts again.
$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: make setup PYTHON=python3.13" >&2; exit 1; }
	@rm -f $@
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu its venv module is the package python3-venv." >&2; exit 1; }
	@echo "Installing what requirements.txt pins into $(VENV); the first time this takes a few minutes."
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

web: setup $(WEB) ## Build the dashboard; does nothing when it is up to date

$(WEB): $(WEB_SOURCES) | $(INSTALLED)
	@.ci/web

demo: setup web ## Build and serve everything on invented data: API on :8000, Dagster on :3000
	$(VENV)/bin/finops demo $(ARGS)

test: setup web ## Run every test; ARGS="-k ledger" picks some
	@chromium="$$(.ci/browser)" && redis="$$(.ci/redis)" && CHROMIUM="$$chromium" REDIS_SERVER="$$redis" \
		$(VENV)/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder $(LONGEST_FIRST) $(ARGS)

# The API's tests once more with a Redis that is named and not there: nothing may be other than without one.
prove: setup web ## Run the long proofs as well (kills, whole years of days), one after the other
	@chromium="$$(.ci/browser)" && redis="$$(.ci/redis)" && export CHROMIUM="$$chromium" REDIS_SERVER="$$redis" && \
		FINOPS_PROVE=1 $(VENV)/bin/pytest $(ARGS) && \
		FINOPS_TESTS_REDIS_URL=redis://127.0.0.1:1/0 $(VENV)/bin/pytest tests/finops_api $(ARGS)

lint: setup ## Check style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy --strict $(CODE)

bench: setup ## Run every benchmark
	@chromium="$$(.ci/browser)" && export CHROMIUM="$$chromium" && \
		for name in $(BENCHMARKS); do echo "== $$name"; $(VENV)/bin/python -m benchmarks.$$name || exit 1; done

browser: setup ## Find a Chromium for the tests, or fetch one, and print where it is
	@.ci/browser

redis: setup ## Find a Redis server for the tests, or fetch one, and print where it is
	@.ci/redis

# Changing a pin is a change of pyproject.toml first; `make lock ARGS=--upgrade` takes the newest of everything.
lock: setup ## Pin every dependency again: requirements.txt, and from it those of the images
	$(LOCK) $(ARGS) pyproject.toml --all-extras -o requirements.txt
	$(LOCK) $(ARGS) pyproject.toml -c requirements.txt --extra api -o deploy/requirements-api.txt
	$(LOCK) $(ARGS) pyproject.toml -c requirements.txt --extra pipeline --extra webserver -o deploy/requirements-pipeline.txt
	$(LOCK) $(ARGS) -c requirements.txt deploy/requirements-build.in -o deploy/requirements-build.txt
	$(LOCK) $(ARGS) dashboard/requirements-node.in -o dashboard/requirements-node.txt

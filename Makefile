# make run    the whole stack on this machine, on http://127.0.0.1:8000 (PORT=, STATE=dir to keep what it stores)
# make test   every test
# make lint   ruff and mypy
# make setup  the environment for run, test and lint; make lock after a change of pyproject.toml; make clean
# PYTHON=python3.13 chooses the Python, 3.11 or newer.

PORT ?= 8000
STATE ?=
ARGS ?=

# Without PYTHON, the one that .venv was made with.
made = $(and $(wildcard .venv/stamp.json),$(wildcard .venv/bin/python))
environment = $(or $(PYTHON),$(made),python3) local/environment.py $(if $(PYTHON),--exact)
python = .venv/bin/python

.PHONY: run test lint format setup setup-ci lock clean
.SILENT:

run:
	$(environment) run
	exec $(python) -m local --port $(PORT) $(if $(STATE),--state "$(STATE)")

test: setup
	exec $(python) -m pytest $(ARGS)

lint: setup
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy local functions layers/shared/tillbook cli events

format: setup
	$(python) -m ruff check --fix .
	$(python) -m ruff format .

setup:
	$(environment) run test

# sam, cfn-lint and awslambdaric, in .venv-ci.
setup-ci:
	$(environment) --ci ci

lock:
	uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --upgrade --group run --group test -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --upgrade --group ci -o requirements-ci.lock

clean:
	rm -rf .venv .venv-ci .aws-sam .hypothesis .mypy_cache .pytest_cache .ruff_cache

# make run    the whole stack on this machine, on http://127.0.0.1:8000. PORT= changes the port. STATE=dir keeps the
#             data, even after kill -9; a power cut may lose the last second
# make test   every test
# make lint   ruff and mypy
# make setup  the environment for run, test and lint
# make lock   the lock files, after a change of pyproject.toml
# make clean  removes environments and caches
# make simulate HISTORIES=100000 SEED=1           random histories with faults, against an independent auditor
# make mutants                                    deliberate faults, each of which a test must detect
# make test-concurrency OPERATIONS=50000 SEED=1   32 workers on one DynamoDB engine (DYNAMODB_ENDPOINT=... for another)
# make test-crash ROUNDS=20 SEED=1                functions that are killed while they work
# make load SECONDS=120 TIMES=3 SEED=1            TIMES times as many requests as the local stack can process
# make bench                                      start times, run times and AWS calls, compared with bare boto3
# make cost ORDERS=1000000                        dollars for a number of orders, computed from counted AWS calls
# PYTHON=python3.13 chooses the Python, 3.11 or newer.

PORT ?= 8000
STATE ?=
ARGS ?=
HISTORIES ?= 10000
OPERATIONS ?= 50000
ROUNDS ?= 20
SECONDS ?= 120
TIMES ?= 3
SEED ?= 1
ORDERS ?= 1000000

# Without PYTHON, the Python that created .venv is used.
existing = $(and $(wildcard .venv/stamp.json),$(wildcard .venv/bin/python))
environment = $(or $(PYTHON),$(existing),python3) local/environment.py $(if $(PYTHON),--exact)
python = .venv/bin/python

.PHONY: run test screenshots simulate mutants test-concurrency test-crash load bench cost lint format setup setup-ci setup-audit lock clean
.SILENT:

run:
	$(environment) run
	exec $(python) -m local --port="$(PORT)" $(if $(STATE),--state "$(STATE)")

# Two processes share the folders (tests/conftest.py): one waits for the local stack while the other computes. The
# folders begin in alphabetical order: the longest group, that of the local stack, early, and a short one last.
test: setup
	exec $(python) -m pytest -n 2 --dist loadscope --no-loadscope-reorder $(ARGS)

simulate: setup
	exec $(python) -m tests.simulation --histories $(HISTORIES) --seed $(SEED) --workers 2

mutants: setup
	exec $(python) -m tests.mutants

test-concurrency: setup
	exec $(python) -m tests.concurrency --operations $(OPERATIONS) --workers 32 --seed $(SEED)

test-crash: setup
	exec $(python) -m tests.crash --rounds $(ROUNDS) --seed $(SEED)

load: setup
	exec $(python) -m tests.load --seconds $(SECONDS) --times $(TIMES) --seed $(SEED)

bench: setup
	exec $(python) -m bench $(ARGS)

cost: setup
	exec $(python) -m bench.cost --orders $(ORDERS)

# Takes the pictures of the page in docs/pictures again. Needs Chromium and ChromeDriver.
screenshots: setup
	exec $(python) -m tests.browser.screenshots docs/pictures --all .local/screenshots

lint: setup
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy local functions layers/shared/tillbook cli events openapi deploy bench tests

format: setup
	$(python) -m ruff check --fix .
	$(python) -m ruff format .

setup:
	$(environment) run test

# Installs sam, cfn-lint, awslambdaric and schemathesis in .venv-ci.
setup-ci:
	$(environment) --ci ci

# Installs checkov, pip-audit and zizmor in .venv-audit.
setup-audit:
	$(environment) --audit audit

lock:
	uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --upgrade --group run --group test -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --upgrade --group ci -o requirements-ci.lock
	uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --upgrade --group audit -o requirements-audit.lock
	uv pip compile -q --python-version 3.13 --no-header --no-annotate --upgrade --generate-hashes --group layer -o layers/shared/requirements.txt

clean:
	rm -rf .venv .venv-ci .venv-audit .aws-sam .hypothesis .mypy_cache .pytest_cache .ruff_cache

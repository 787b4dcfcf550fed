# Floway. `make serve` runs it, `make demo` shows it without a subscription, `make test` and `make check` are for its authors.
# Needs Python 3.11 or newer; everything else is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
CLIENTS := .venv-clients
CLIENTS_JS := tests/clients/js/node_modules
ALONE = $(shell [ "$$(id -u)" != 0 ] || echo unshare --net)
SCRATCH = $$(mktemp -d)

.PHONY: serve demo test test-clients test-browser test-cli test-hosts parity coverage bench bench-full check lock format clean

serve: $(VENV)/.installed
	@exec $(BIN)/python manage.py serve --migrate

demo: $(VENV)/.installed
	@FLOWAY_DATA_DIR=$${FLOWAY_DATA_DIR:-data/demo} exec $(BIN)/python manage.py demo

test: $(VENV)/.installed-dev
	$(PYTEST)

# A served gateway driven by clients that people use; where we are root, with loopback alone, so that none calls home.
test-clients: $(VENV)/.installed-dev $(CLIENTS)/.installed $(CLIENTS_JS)/.installed
	$(ALONE) sh -c '[ -z "$(ALONE)" ] || ip link set lo up; exec $(PYTEST) -m sdk tests/clients'

# Chromium at the admin's pages, with axe-core from npm. FLOWAY_TEST_PICTURES names a directory for pictures of them.
test-browser: $(VENV)/.installed-dev
	npm ci --silent --no-audit --no-fund --prefix tests/browser
	$(PYTEST) -m browser tests/browser

# The official client, found by FLOWAY_TEST_CODEX_BIN, in a network namespace with loopback alone: it calls home.
test-cli: $(VENV)/.installed-dev
	unshare --net sh -c 'ip link set lo up && exec $(PYTEST) -m cli tests/clients'

# Two hosts, as network namespaces, on the PostgreSQL that DATABASE_URL names. Needs root.
test-hosts: $(VENV)/.installed-dev
	$(PYTEST) -m hosts tests/hosts

# What the gateway would send in the place of the official client's captured requests, field by field.
parity: $(VENV)/.installed-dev
	@data=$(SCRATCH) && FLOWAY_DATA_DIR=$$data $(BIN)/python manage.py codex_parity; status=$$?; rm -rf $$data; exit $$status

# The protocol is covered entirely, lines and branches, by its provider's own tests.
coverage: $(VENV)/.installed-dev
	$(BIN)/python -m coverage run -m pytest -q tests/providers
	$(BIN)/python -m coverage report --include='floway/providers/codex/protocol/*' --fail-under=100

# Three minutes, on SQLite; and all rows of docs/benchmarks.md on both databases, which adds a line to the history.
bench: $(VENV)/.installed
	@$(BIN)/python -m bench

bench-full: $(VENV)/.installed
	@$(BIN)/python -m bench --full --postgres

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	data=$(SCRATCH) && FLOWAY_DATA_DIR=$$data $(BIN)/mypy; status=$$?; rm -rf $$data; exit $$status
	$(BIN)/lint-imports
	data=$(SCRATCH) && export FLOWAY_DATA_DIR=$$data \
		&& $(BIN)/python manage.py check --fail-level WARNING && $(BIN)/python manage.py makemigrations --check --dry-run; \
		status=$$?; rm -rf $$data; exit $$status

# After a change of requirements.txt. For every platform, and every Python from 3.11 on.
lock: $(VENV)/.installed-dev
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 requirements.txt -o requirements.lock

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(CLIENTS) $(CLIENTS_JS) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Floway needs Python 3.11 or newer; name another with `make PYTHON=python3.12 …`.' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
		|| { echo 'This Python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# What runs is what was locked: every package by its hash, those that others need included.
$(VENV)/.installed: requirements.lock | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# Every package is pinned there, so that nothing is left to resolve.
$(CLIENTS)/.installed: requirements-clients.txt
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile -r $<
	@touch $@

$(CLIENTS_JS)/.installed: tests/clients/js/package-lock.json
	npm ci --silent --no-audit --no-fund --ignore-scripts --prefix tests/clients/js
	@touch $@

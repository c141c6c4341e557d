# run, test and check IronBucket from a fresh clone. Everything is made below .venv and .local; `make clean` removes it.
#
#   make run        two nodes behind http://127.0.0.1:20000; Ctrl-C stops all (NODES=3, PORT=8000, DATA=/srv/try)
#   make test       all tests that need no virtual hosts (ARGS='-k listing' for some of them)
#   make check      style, types, and the units' syntax and exposure
#   make molecule   the roles on real hosts with systemd (root; see molecule/; SCENARIOS='default cluster' for some)
#   make bench      measurements (ARGS names what, see tests/bench/)
#   make clean      remove what the above made

# Debian's own: builds of the same version by others were measured 1.6 times slower
PYTHON ?= /usr/bin/python3
PORT ?= 20000
NODES ?= 2
DATA ?= .local
JOBS ?= 2
SCENARIOS ?= default cluster upgrade failover lifecycle
ARGS ?=

BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run test check molecule bench clean
.DELETE_ON_ERROR:

run: .venv/.run
	@exec $(BIN)/ironbucket local --nodes $(NODES) --port $(PORT) --data $(DATA)

test: .venv/.test
	$(BIN)/pytest -n $(JOBS) $(ARGS)

check: .venv/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(if $(wildcard systemd/check),systemd/check)

molecule: .venv/.ansible
	molecule/prepare
	for scenario in $(SCENARIOS); do $(BIN)/molecule test -s $$scenario || exit 1; done

bench: .venv/.test
	$(BIN)/python -m tests.bench $(ARGS)

clean:
	rm -rf .venv .local build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian splits venv from Python. Root installs it; anyone else is told the one command.
.venv/bin/pip:
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	    if [ "$$(id -u)" = 0 ]; then \
	        apt-get update -q && apt-get install -q -y --no-install-recommends python3-venv; \
	    else \
	        echo 'python3-venv is missing. Install it, then repeat: sudo apt-get install -y python3-venv' >&2; exit 1; \
	    fi; }
	$(PYTHON) -m venv .venv

# The package is installed as a link to this folder, so that edits are in force at once; of the two kinds of link the
# one that costs no time at each start.
.venv/.run: .venv/bin/pip setup.py
	$(BIN)/pip install -q --disable-pip-version-check --config-settings editable_mode=compat -e '.[local]'
	@touch $@

.venv/.test .venv/.check .venv/.ansible: .venv/.%: .venv/bin/pip setup.py
	$(BIN)/pip install -q --disable-pip-version-check --config-settings editable_mode=compat -e '.[$*]'
	@touch $@

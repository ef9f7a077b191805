# Everything a newcomer, a developer and CI do. `make` lists the targets.

PYTHON ?= python3
WORKERS ?= 2
SEED ?= 2
BIN := .venv/bin
PACKAGES := postgresql mosquitto mosquitto-clients libmodbus-dev gcc socat chromium nodejs npm strace influxdb victoria-metrics \
  krb5-kdc krb5-admin-server krb5-user libkrb5-dev freetds-bin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test quick lint fmt types peers bench build clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' Makefile

demo: .venv/.demo ## a simulated boiler house, the gateway and its dashboard, in one command
	$(BIN)/gl002 demo

test: .venv/.dev peers lint types ## all that CI checks: style, types, layers and every test; SEED=7 for another order
	$(BIN)/pytest -n $(WORKERS) --dist worksteal --randomly-seed=$(SEED)

quick: .venv/.dev ## the tests of a few seconds each, against the peers that are installed
	$(BIN)/pytest -n $(WORKERS) --dist worksteal --randomly-seed=$(SEED) -m "not slow"

lint: .venv/.dev ## ruff, rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

fmt: .venv/.dev ## let ruff mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: .venv/.dev ## mypy --strict
	$(BIN)/mypy

peers: .cache/peers/.programs .cache/peers/.modules .cache/peers/.vendors .cache/peers/.kerberos ## install what the tests talk to; asks for root only if something is missing

bench: .venv/.dev peers ## our rates beside those of raw clients, in one run
	$(BIN)/python bench/throughput.py
	$(BIN)/python bench/plant_load.py
	$(BIN)/python bench/modbus.py
	$(BIN)/python bench/mqtt.py
	$(BIN)/python bench/bacnet.py
	$(BIN)/python bench/opc_ua.py
	$(BIN)/python bench/databases.py
	$(BIN)/python bench/boiler.py

build: .venv/.dev ## the wheel
	$(BIN)/python -m pip wheel --no-deps --wheel-dir dist .

clean: ## take away everything that can be made again
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build

# ---- installing: a stamp for each, so that a second run costs nothing ---------------------------

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv is missing: sudo apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.demo: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo]'
	@touch $@

.venv/.dev: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	@touch $@ .venv/.demo

.cache/peers/.programs: Makefile
	@mkdir -p $(@D)
	@missing=; for package in $(PACKAGES); do \
	  case $$package in \
	    influxdb) command -v influxd ;; \
	    freetds-bin) command -v tsql ;; \
	    postgresql) ls /usr/lib/postgresql/*/bin/initdb ;; \
	    libmodbus-dev) ls /usr/include/modbus/modbus.h ;; \
	    mosquitto-clients) command -v mosquitto_pub ;; \
	    nodejs) command -v node ;; \
	    krb5-kdc) PATH=$$PATH:/usr/sbin command -v krb5kdc ;; \
	    krb5-admin-server) PATH=$$PATH:/usr/sbin command -v kadmin.local ;; \
	    krb5-user) command -v kinit ;; \
	    libkrb5-dev) ls /usr/include/krb5.h ;; \
	    *) PATH=$$PATH:/usr/sbin command -v $$package ;; \
	  esac >/dev/null 2>&1 || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  root=; [ "$$(id -u)" = 0 ] || root=sudo; \
	  echo "installing$$missing"; \
	  $$root apt-get update -qq && \
	  $$root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $$missing; \
	fi
	@touch $@

.cache/peers/.modules: .venv/.dev .cache/peers/.programs $(wildcard tests/peers/*/package.json)
	@PYTHONPATH=tests $(BIN)/python -c 'import sys; from peers.node import modules; [modules(p.split("/")[2]) for p in sys.argv[1:]]' \
	  $(wildcard tests/peers/*/package.json)
	@touch $@

.cache/peers/.vendors: .venv/.dev .cache/peers/.programs tests/peers/vendors/requirements.txt tests/peers/vendors/without_dependencies.txt
	@PYTHONPATH=tests $(BIN)/python -c 'from peers.vendors import python; python()'
	@touch $@

.cache/peers/.kerberos: .venv/.dev .cache/peers/.programs tests/peers/kerberos.py
	@PYTHONPATH=tests $(BIN)/python -c 'from peers.kerberos import libraries; libraries()'
	@touch $@

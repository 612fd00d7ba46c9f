# make run    start ahd with etc/ahd.yaml (another file: CONFIG=…; more arguments: ARGS=…; a first time with PYTHON=…)
# make test   install what the tests need, check and test everything
# make soak   half an hour with one daemon, minutes with three nodes that are killed (SEED=…, SECONDS=… for each)
# make lint   style, types and layers only
# make bench  measure ahd against its peers (QUICK=1: one short round, docs/performance.md stays as it is)
# make clean  remove what the other targets have made
# make install    put ahd into the system: an environment, its command, its units, /etc/ahd (PREFIX=/usr, DESTDIR=, PYTHON=)
# make uninstall  remove it again; /etc/ahd stays

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help

CONFIG ?= etc/ahd.yaml
ARGS ?=
PYTEST_ARGS ?=

VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check

QUICK ?=
BENCH_ARGS ?=

DESTDIR ?=
PREFIX ?= /usr
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
PYTHON ?=
# What pip installs, a wheel for instance, and more arguments for it.
SOURCE ?= .
PIP_ARGS ?=

.PHONY: help run test bench soak lint prepare smoke clean install uninstall

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

$(VENV)/.run: pyproject.toml
	@python=$(or $(PYTHON),$$(.ci/python | head -n 1)); \
	echo "Installing ahd into $(VENV) with $$python"; \
	"$$python" -m venv $(VENV)
	@$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.run
	@echo "Installing what the tests need into $(VENV)"
	@$(PIP) install --quiet --editable '.[dev]'
	@touch $@

# Without the browser client ahd runs too, and says so.
run: $(VENV)/.run
	-@$(VENV)/bin/python -m ahd.client.fetch
	@exec $(VENV)/bin/ahd --config $(CONFIG) $(ARGS)

prepare: $(VENV)/.test
	@.ci/prepare
	@$(VENV)/bin/python -m ahd.client.fetch
	@$(VENV)/bin/python -m tests.harness.node

lint: $(VENV)/.test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo

# The other Pythons of this machine, each in an environment of its own.
smoke: prepare
	@main=$$($(VENV)/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	.ci/python | while read -r python; do \
		version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		[[ $$version == "$$main" ]] && continue; \
		venv=.venvs/$$version; \
		if [[ ! -e $$venv/.test || pyproject.toml -nt $$venv/.test ]]; then \
			echo "Installing ahd and its tests into $$venv"; \
			"$$python" -m venv $$venv; \
			$$venv/bin/python -m pip --disable-pip-version-check install --quiet --editable '.[test]'; \
			touch $$venv/.test; \
		fi; \
		echo "Python $$version:"; \
		$$venv/bin/python -m pytest -q -n 2 --dist loadfile -m smoke --durations=0 --durations-min=5 </dev/null; \
	done

test: prepare lint smoke
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

soak: prepare
	$(VENV)/bin/python -m pytest -s tests/soak $(PYTEST_ARGS)

bench: $(VENV)/.test
	$(VENV)/bin/python -m tests.bench $(if $(QUICK),--quick,--write docs/performance.md) $(BENCH_ARGS)

install:
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" SYSCONFDIR="$(SYSCONFDIR)" UNITDIR="$(UNITDIR)" PYTHON="$(PYTHON)" \
	SOURCE="$(SOURCE)" PIP_ARGS="$(PIP_ARGS)" .ci/install

uninstall:
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" UNITDIR="$(UNITDIR)" .ci/install --remove

clean:
	rm -rf $(VENV) .venvs .make build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two commands for a fresh machine with git, make and Python 3.11: `make conform` and `make test`. `make help` lists all.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
LOCK := tools/requirements/dev.txt

.PHONY: help conform conform-real test check soak mutants lock clean
help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

conform: .venv/ready  ## set up, then run the conformance features against the reference server on the embedded engine
	$(BIN)/llama-orch conform

conform-real: .venv/ready  ## the same on the real llama-server and SmolLM2 (builds the engine once: some minutes)
	$(BIN)/llama-orch engines install llamacpp --with-model
	REQUIRE_REAL_LLAMA=1 $(BIN)/llama-orch conform

test: .venv/ready  ## set up, then run every test that needs no installed engine or browser
	$(BIN)/python -m pytest -m "not real_engine and not real_part"

check: .venv/ready  ## the developer's loop: format, lint, types, import rules, generated files, specs, tests
	$(BIN)/python -m tools check

soak: .venv/ready  ## run every test of `make test` 20 times and name those whose verdict was not always the same
	$(BIN)/python -m tools flakes --runs 20

mutants: .venv/ready  ## change the domain in one place at a time, and name every change that its tests do not notice
	$(BIN)/python -m tools mutants

lock: .venv/ready  ## pin the dependencies again, with hashes (needs uv)
	$(BIN)/python -m tools lock

.venv/ready: pyproject.toml $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "llama-orch needs Python 3.11 or newer; found " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.11.")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean:  ## remove the environment and what runs left behind
	rm -rf .venv out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

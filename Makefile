.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip
BENCH := .venv-bench
MUTANTS := .venv-mutants
INTEROP := .venv-interop

FAST := tests/architecture tests/unit tests/contract
WAITING := tests/integration tests/acceptance
# So many processes, whatever the machine: those that wait leave the processor to others. Each has a broker of
# its own. Who is done takes over from others, so that the long ones do not all end up with one.
TESTERS ?= 3
BESIDE := -n $(TESTERS) --dist worksteal

.PHONY: help demo test lint format types unit integration tls test-python mutants interop reference docs chaos \
	bench bench-locust bench-quality lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: $(VENV)/.run ## Run the whole system once: broker, knowledge, model, worker; then ask it
	@$(BIN)/kotae demo

test: lint types ## Run every test, the fast ones first, against real Kafka
	@$(BIN)/python -m pytest $(BESIDE) $(FAST)
	@$(BIN)/python -m pytest $(BESIDE) -m "not alone" $(WAITING)
	@$(BIN)/python -m pytest -m alone $(WAITING)

lint: $(VENV)/.test ## Check style, formatting and layers
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

format: $(VENV)/.test ## Format the code and mend what can be mended
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

types: $(VENV)/.test ## Check types, strictly
	@$(BIN)/mypy

unit: $(VENV)/.test ## Run only the tests that need no server
	@$(BIN)/python -m pytest $(BESIDE) $(FAST)

integration: $(VENV)/.test ## Run only the tests against real servers
	@$(BIN)/python -m pytest $(BESIDE) -m "not alone" $(WAITING)
	@$(BIN)/python -m pytest -m alone $(WAITING)

tls: $(VENV)/.test ## Run only the tests that rest on Python's own TLS
	@$(BIN)/python -m pytest $(BESIDE) -m "tls and not alone" $(WAITING)

test-python: ## Run what may differ between Pythons: make test-python PYTHON=python3.13 (lies in .venv-3.13)
	@version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])') && \
		$(MAKE) --no-print-directory VENV=.venv-$$version unit tls

mutants: $(MUTANTS)/.done ## Break the pure modules in every small way, and see whether a test notices (an hour)
	@$(MUTANTS)/bin/python -m tests.mutants $(ARGS)

interop: $(INTEROP)/.done ## Try real model servers; builds a library once (10 minutes; cmake and g++)
	@$(INTEROP)/bin/python -m pytest tests/interop $(ARGS)

reference: $(VENV)/.test ## Write REFERENCE.md from the code
	@$(BIN)/python -m tests.architecture.reference

docs: $(VENV)/.test ## Build the documents into build/docs/site, strictly
	@$(BIN)/python -m tests.architecture.site

chaos: $(VENV)/.test ## Harm the system at full size: make chaos [SEED=7] [SCENARIO=1] (an hour)
	@$(BIN)/python -m tests.acceptance.oracle.chaos --full $(if $(SEED),--seed $(SEED)) \
		$(if $(SCENARIO),--scenario $(SCENARIO))

bench: $(BENCH)/.done ## Measure Kotae beside its peers: make bench [ARGS="--quick"] (an hour and a half; 2 minutes)
	@$(BENCH)/bin/python -m tests.benchmarks $(ARGS)

bench-locust: $(BENCH)/.done ## Put Locust's users on a service: make bench-locust [SIMULATED=1] [ARGS="--headless"]
	@test -x $(BENCH)/bin/locust || { echo "Locust could not be installed here"; exit 1; }
	@$(if $(SIMULATED),$(BENCH)/bin/python -m tests.benchmarks.simulated) $(BENCH)/bin/locust \
		-f tests/benchmarks/locustfile.py --web-host 127.0.0.1 --master-bind-host 127.0.0.1 $(ARGS)

bench-quality: $(if $(PEERS),$(BENCH)/.done,$(VENV)/.test) ## Measure answers: make bench-quality [DATASET=squad.json [PEERS=1]]
	@$(if $(PEERS),$(BENCH),$(VENV))/bin/python -m $(if $(DATASET),tests.benchmarks.quality $(DATASET),tests.quality) $(ARGS)

lock: $(VENV)/.uv ## Resolve the dependencies anew, with hashes
	$(UV) compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
		--extra builtin --extra demo --extra office --group build pyproject.toml -o requirements.lock
	$(UV) compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
		--extra builtin --extra demo --extra office --extra onnx --group build --group docs --group test -c requirements.lock pyproject.toml -o requirements-test.lock
	$(UV) compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
		--no-emit-package litellm-enterprise --no-emit-package llama-cpp-python \
		--extra demo --group build --group test --group interop pyproject.toml -o requirements-interop.lock
	grep -oE '^[a-z0-9._-]+==[^\\]+' requirements.lock | grep -v '^click=' >requirements-bench.lock.in
	$(UV) compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
		--extra builtin --extra demo --extra office --extra onnx --group build --group test --group mutants -c requirements-test.lock pyproject.toml \
		-o requirements-mutants.lock
	$(UV) compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
		--extra builtin --extra demo --extra office --group build --group bench -c requirements-bench.lock.in pyproject.toml -o requirements-bench.lock
	rm requirements-bench.lock.in

clean: ## Remove the environment and everything that was made
	rm -rf $(VENV) .venv-* mutants build dist var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.uv: requirements-uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Kotae needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "Python's venv module is missing (Debian: apt-get install python3-venv)"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@touch $@

# The two environments differ only in what is added: the tests' one serves for running as well.
$(VENV)/.run: $(VENV)/.uv requirements.lock pyproject.toml
	@test -e $(VENV)/.test || $(UV) install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@test -e $(VENV)/.test || $(UV) install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.test: $(VENV)/.uv requirements-test.lock pyproject.toml
	@$(UV) install --quiet --python $(BIN)/python --require-hashes -r requirements-test.lock
	@$(UV) install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.run

# The mutation tester needs what the tests need, and brings a terminal's pictures that nothing else wants.
$(MUTANTS)/.done: $(VENV)/.uv requirements-mutants.lock pyproject.toml
	@test -x $(MUTANTS)/bin/python || $(PYTHON) -m venv --without-pip $(MUTANTS)
	@$(UV) install --quiet --python $(MUTANTS)/bin/python --require-hashes -r requirements-mutants.lock
	@$(UV) install --quiet --python $(MUTANTS)/bin/python --no-deps --no-build-isolation -e .
	@touch $@

# llama-cpp-python comes without its library: that is built once, and kept (tests/interop/build.py).
# litellm-enterprise is not open, and the proxy runs without it.
$(INTEROP)/.done: $(VENV)/.uv requirements-interop.lock pyproject.toml tests/interop/build.py \
		tests/interop/random_model.py
	@test -x $(INTEROP)/bin/python || $(PYTHON) -m venv $(INTEROP)
	@$(UV) install --quiet --python $(INTEROP)/bin/python --require-hashes -r requirements-interop.lock
	@$(UV) install --quiet --python $(INTEROP)/bin/python --no-deps --no-build-isolation -e .
	@$(INTEROP)/bin/python -m tests.interop.build
	@touch $@

# The peers have pins of their own (click, for one): their environment is not ours. A peer that cannot be
# installed here is left out of it, and `make bench` says so.
$(BENCH)/.done: $(VENV)/.uv requirements-bench.lock pyproject.toml
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv --without-pip $(BENCH)
	@$(UV) install --quiet --python $(BENCH)/bin/python --require-hashes -r requirements-bench.lock || \
		{ echo "the peers cannot be installed: Kotae and the hand-written loop are measured alone"; \
		$(UV) install --quiet --python $(BENCH)/bin/python --require-hashes -r requirements.lock; }
	@$(UV) install --quiet --python $(BENCH)/bin/python --no-deps --no-build-isolation -e .
	@touch $@

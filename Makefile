# Every verb sets itself up; `make help` lists them.
PY := .venv/bin/python
BIN := .venv/bin

.PHONY: help call test lint types unit bench docs soak clean setup

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## the virtual environment .venv with everything in it (fast when done)
	@scripts/setup

call: ## place a protected call between two real softphones and show what protected it
	@scripts/install-peers call
	@scripts/setup
	@$(PY) examples/protected_call.py

test: ## all checks and all tests, interop included
	@scripts/install-peers test
	@scripts/setup
	@$(MAKE) --no-print-directory lint types docs
	@$(PY) -m tests.maxi_cov
	@$(PY) -m pytest -n 3 -m "not long and not alone"
	@$(PY) -m pytest -m "alone and not long"

unit: setup ## the tests that need no other program
	@$(PY) -m pytest -n 2 -m "not interop and not long"

lint: setup ## style, format, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup ## mypy, strict
	$(BIN)/mypy --strict imsmediasec

docs: setup ## the HTML documentation in docs/_build/html; warnings are errors
	$(BIN)/sphinx-build -q -n -W --keep-going -b html docs docs/_build/html

bench: setup ## benchmarks
	$(PY) -m benchmarks

soak: ## the long tests
	@scripts/install-peers test
	@scripts/setup
	$(PY) -m pytest -m long --timeout=3600

clean: ## remove what the other verbs made
	rm -rf .venv build dist docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis htmlcov .coverage *.egg-info

# Needs Python 3.11 to 3.13 and make. The first target sets up .venv, later
# ones reuse it.
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13))
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/pytest --numprocesses 2 --dist worksteal
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PYTHONWARNINGS ?= ignore

.PHONY: quickstart check test lint format docs bench clean

$(VENV)/bin/python:
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --upgrade pip

$(VENV)/.user: pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV): a minute or two, once."
	@$(BIN)/pip install --quiet --editable '.[metrics,plots]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV): a few minutes, once."
	@$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $(VENV)/.user $@

$(VENV)/.docs: $(VENV)/.user
	@$(BIN)/pip install --quiet --editable '.[docs]'
	@touch $@

## pre-train, fine-tune, export and query a small model on two cores
quickstart: $(VENV)/.user
	$(BIN)/unilmv2 quickstart $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

## lint and the tests that are not slow, in under four minutes
check: lint
	$(PYTEST) -m "not slow" $(ARGS)

## lint, then every test, doctest and README command
test: lint
	$(PYTEST) $(ARGS)

## the documentation with the API reference, in site/; warnings are errors
docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict $(ARGS)

## every benchmark, then the tables made of them; about an hour on two cores
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks all $(ARGS)

clean:
	rm -rf $(VENV) build dist site *.egg-info

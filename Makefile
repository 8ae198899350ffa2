# Everything here needs Python 3.11 and make, and nothing else: the first
# command sets up .venv, the later ones use it again.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: quickstart test lint format bench clean

$(VENV)/.user: setup.py pyproject.toml
	@echo "Setting up $(VENV): a minute or two, once."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --upgrade pip
	@PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.user
	@PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --editable '.[dev]'
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

## ruff, then every test, doctest and README command
test: lint
	$(BIN)/pytest --numprocesses 2 --dist worksteal $(ARGS)

## every benchmark, then the tables made of them; about an hour on two cores
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks all $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info

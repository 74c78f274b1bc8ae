# Two commands on a fresh machine with Python 3.11, pip and make:
#   make train    set up .venv, train the default model on the built-in phantom, report on its test split
#   make test     set up .venv and run every check and test
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= configs/train.yaml

.PHONY: train test test-slow check twins format clean

$(VENV)/.runtime: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.development: requirements.txt requirements-dev.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

train: $(VENV)/.runtime
	$(BIN)/python -m monai.bundle run training --config_file $(CONFIG)

check: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	$(BIN)/python -m pytest

test-slow: $(VENV)/.development
	$(BIN)/python -m pytest -m slow

format: $(VENV)/.development
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The JSON twins that MONAI Label and monai.bundle.load read before the YAML.
twins: $(VENV)/.runtime
	$(BIN)/python -m scripts.engines.write_twins configs

clean:
	rm -rf results evaluation inference explanations .pytest_cache .ruff_cache .mypy_cache

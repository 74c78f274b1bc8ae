# Two commands on a fresh machine with Python 3.11, pip and make:
#   make train    set up .venv, train the default model on the built-in phantom, report on its test split
#   make test     set up .venv and run every check and test
# And, when you want them:
#   make label    start MONAI Label with the shipped model, or with RUN=results/mine STUDIES=folder
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= configs/train.yaml
RUN ?= .

# MONAI Label has requirements of its own, hence an environment of its own.
LABEL := .venv-label
LABEL_BIN := $(LABEL)/bin
PORT ?= 8000

.PHONY: train test test-fast coverage test-slow test-label test-browser label check sbom audit bench bench-long twins bad-input bundle format clean

$(VENV)/.runtime: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.development: requirements.txt requirements-dicom.txt requirements-onnx.txt requirements-pretrained.txt requirements-dev.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

train: $(VENV)/.runtime
	$(BIN)/python -m monai.bundle run training --config_file $(CONFIG)

check: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python ci/dependencies.py licences

# dist/sbom.json: every package that the product installs, with its licence, as CycloneDX.
sbom: $(VENV)/.development
	$(BIN)/python ci/dependencies.py sbom

# Known vulnerabilities of these packages, from pypi.org; fails where a package could not be looked up.
audit: $(VENV)/.development
	$(BIN)/python ci/dependencies.py audit

test: check
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# The tests that lie as the files you changed; FILES="scripts/x.py ..." names them.
test-fast: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/python ci/neighbours.py $(FILES)

# Which lines the tests run, those of `make test` and those of both (as long as `make test-slow` takes).
coverage: $(VENV)/.development
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --cov --cov-report term
	$(BIN)/python -m pytest -m slow --cov --cov-append --cov-report term

test-slow: $(VENV)/.development
	$(BIN)/python -m pytest -m slow

$(LABEL)/.installed: requirements.txt requirements-label.txt requirements-label-alone.txt
	test -x $(LABEL_BIN)/python || $(PYTHON) -m venv $(LABEL)
	$(LABEL_BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-label.txt
	$(LABEL_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-label-alone.txt
	touch $@

label: $(LABEL)/.installed
	$(LABEL_BIN)/python -m workbench.serve --port $(PORT) $(if $(RUN),--run $(RUN)) $(if $(STUDIES),--studies $(STUDIES)) $(if $(TRUST),--trust)

test-label: $(VENV)/.development $(LABEL)/.installed
	$(BIN)/python -m pytest -m label -rs

# The report in a browser; `make test` skips this where there is no Chromium, here the reason is shown.
test-browser: $(VENV)/.development
	$(BIN)/python -m pytest -m browser -rs

# docs/performance.md, on a machine that does nothing else: the step, where the time goes, inference, in under a quarter
# of an hour on 2 cores; bench-long: the rest. What was measured is kept in results/performance and not measured again.
bench: $(VENV)/.development
	$(BIN)/python -m benchmarks.performance --items short --repeats 5

bench-long: $(VENV)/.development
	$(BIN)/python -m benchmarks.performance --items long --repeats 3

format: $(VENV)/.development
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The JSON twins that MONAI Label and monai.bundle.load read before the YAML.
twins: $(VENV)/.runtime
	$(BIN)/python -m scripts.engines.twins configs

# docs/bad-input.md: what each mistake says, from the tests that make it. As root, for those that mount a full disk.
bad-input: $(VENV)/.development
	WRITE_BAD_INPUT=1 $(BIN)/python -m pytest tests/cases/test_cases.py tests/volumes/test_volumes.py \
	    tests/volumes/test_declared_sizes.py tests/volumes/test_native.py tests/volumes/test_disks.py \
	    tests/prepare/dicom/test_stacks.py tests/bundle/test_bad_input.py tests/engines/test_weights_files.py

# dist/multiphase_fusion_classification_v<version>.zip, as the MONAI Model Zoo takes it; of a training of your own
# with RUN=results/NAME. WEIGHTS_URL=... for weights above 25 MB; HUB=owner/name lists what a push to the
# Hugging Face Hub would send.
bundle: $(VENV)/.runtime
	$(BIN)/python -m workbench.package --bundle_root $(RUN) \
	    $(if $(WEIGHTS_URL),--weights_url $(WEIGHTS_URL)) $(if $(HUB),--dry_run_hub $(HUB))

clean:
	rm -rf dist results evaluation inference explanations .pytest_cache .ruff_cache .mypy_cache

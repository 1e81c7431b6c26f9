PYTHON ?= python3
VENV := .venv
VENV_LOWEST := .venv-lowest
DEMO_DATA ?= mnist5k
KERAS_BACKEND ?= jax

TORCH := $(shell sed -n 's/.*"\(torch==[^"]*\)".*/\1/p' pyproject.toml)

BIN := $(VENV)/bin
BIN_LOWEST := $(VENV_LOWEST)/bin

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help demo test test-lowest format clean

help:
	@echo "make demo         train a Siamese network on real images and write a report"
	@echo "make test         lint, types and the test suite on TensorFlow, JAX and PyTorch"
	@echo "make test-lowest  the suite on JAX with the oldest dependencies that are declared"
	@echo "make format       mend what ruff can mend"
	@echo "make clean        remove the environments and caches (never runs/)"

demo: $(VENV)/.demo-installed-$(KERAS_BACKEND)
	@number=1; while [ -e runs/demo-$$number ]; do number=$$((number + 1)); done; \
	run=runs/demo-$$number; \
	echo "Training on $(DEMO_DATA) with the $(KERAS_BACKEND) backend into $$run"; \
	KERAS_BACKEND=$(KERAS_BACKEND) $(BIN)/lossmith train $(DEMO_DATA) --out $$run && \
	echo "The report: $(CURDIR)/$$run/report.html"

test: $(VENV)/.test-installed
	@$(BIN)/python tools/run_tests.py

test-lowest: $(VENV_LOWEST)/.installed
	@$(BIN_LOWEST)/python tools/run_tests.py --backend jax

format: $(VENV)/.test-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(VENV_LOWEST) .hypothesis .mypy_cache .pytest_cache .ruff_cache

# A stamp is written last, so an install that was interrupted is done again.
# PyTorch is the one that the suite is tested with: a later one may have no processor-only build.
$(VENV)/.demo-installed-%: pyproject.toml | $(BIN)/pip
	@case $* in jax|tensorflow|torch) ;; *) \
		echo "KERAS_BACKEND is '$*'; it must be jax, tensorflow or torch." >&2; exit 1;; esac
	@echo "Installing lossmith with $* into $(VENV) (once, about a minute)"
	@$(BIN)/python -m pip install --quiet --editable '.[$*,cli]' $(if $(filter torch,$*),'$(TORCH)')
	@touch $@

# One command for all backends: a second one could replace the torch of the first.
$(VENV)/.test-installed: pyproject.toml | $(BIN)/pip
	@echo "Installing lossmith with TensorFlow, JAX and PyTorch into $(VENV) (once, some minutes)"
	@$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

$(VENV_LOWEST)/.installed: pyproject.toml tools/lowest_versions.py | $(BIN_LOWEST)/pip
	@echo "Installing the oldest declared dependencies into $(VENV_LOWEST) (once, some minutes)"
	@$(BIN_LOWEST)/python tools/lowest_versions.py >$(VENV_LOWEST)/constraints.txt
	@$(BIN_LOWEST)/python -m pip install --quiet --editable '.[test]' \
		--constraint $(VENV_LOWEST)/constraints.txt
	@touch $@

# pip comes last into an environment; without it the creation was interrupted.
%/bin/pip:
	@command -v $(PYTHON) >/dev/null || { \
		echo "No '$(PYTHON)' found. lossmith needs Python 3.11 or newer: install it, or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "'$(PYTHON)' is $$($(PYTHON) --version 2>&1). lossmith needs Python 3.11 or newer; name one: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $*

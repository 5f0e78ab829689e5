# Two commands on a fresh machine: `make run` and `make test`; both set up .venv by themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
export BONDWRIGHT_DATA ?= $(abspath ../shared/data)

.PHONY: run test check setup docs lock clean
.DEFAULT_GOAL := run

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "bondwright needs Python >= 3.11, this is %d.%d; set PYTHON=/path/to/python3.11" % v[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	@if $(BIN)/python src/bondwright/dft/gpaw_build.py --constraint constraints.txt; then extras=dev,glass,dft; \
	  else extras=dev,glass; echo "Going on without DFT; everything else works."; fi; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$$extras]"
	@touch $@

# Without a compiler there is no GPAW, and the example ends before DFT.
run: $(STAMP)
	$(BIN)/bondwright run examples/tio2 $$($(BIN)/python -c 'import gpaw.cgpaw' 2>/dev/null || echo --without dft)
	$(BIN)/bondwright glass run examples/glass

test: check
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV)

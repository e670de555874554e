# Each target makes the virtual environment it needs. PYTHON chooses the interpreter (3.10 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench notebooks clean

demo: $(VENV)/demo  ## replay the bundled traffic and show what it saves: no key, no network
	$(BIN)/trimtab demo

test: $(VENV)/dev  ## run the tests
	$(BIN)/python -m pytest

lint: $(VENV)/dev  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/dev  ## measure on TRIMTAB_DATA (default: ../shared/data)
	for script in benchmarks/*.py benchmarks/case_study/run.py; do $(BIN)/python $$script || exit 1; done

notebooks: $(VENV)/dev  ## execute the notebooks
	$(BIN)/python -m pytest --nbmake notebooks

$(VENV)/python:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/demo: $(VENV)/python pyproject.toml
	$(BIN)/python -m pip install --quiet -c .ci/constraints.txt -e .
	touch $@

$(VENV)/dev: $(VENV)/python pyproject.toml .ci/constraints.txt
	$(BIN)/python -m pip install --quiet -c .ci/constraints.txt -e '.[dev]'
	touch $@ $(VENV)/demo

clean:  ## remove what the other targets made
	rm -rf $(VENV) dist

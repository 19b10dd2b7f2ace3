# People and CI run these same lines. Each target makes the environment it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test test-slow check format bench docs clean

demo: $(VENV)/.ready-demo  ## train three small translators on the built-in corpus and compare them (5 minutes)
	$(BIN)/regard demo --out demo

test: check  ## what CI runs
	$(BIN)/python -m pytest

test-slow: $(VENV)/.ready-dev  ## everything, minutes to an hour: 20 kills, 500 sentences x 4 models, learning at several seeds
	$(BIN)/python -m pytest -m "slow or not slow" --timeout 3000

check: $(VENV)/.ready-dev  ## formatter, linter, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyrefly check
	$(BIN)/lint-imports

format: $(VENV)/.ready-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.ready-dev  ## measure speed, one script a figure
	for script in bench/*.py; do $(BIN)/python $$script || exit 1; done

docs: $(VENV)/.ready-dev  ## list the settings anew, in docs/settings.md
	$(BIN)/python docs/settings.py

clean:
	rm -rf $(VENV) demo .pytest_cache .ruff_cache .hypothesis

# torch first and by its exact pin: a range would let pip take the newest build, with gigabytes for graphics cards.
$(VENV)/.torch: constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "$$(grep '^torch==' constraints.txt)" -c constraints.txt
	touch $@

$(VENV)/.ready-demo: $(VENV)/.torch pyproject.toml
	$(BIN)/pip install --quiet --editable '.[train,eval,plot]' -c constraints.txt
	touch $@

$(VENV)/.ready-dev: $(VENV)/.torch pyproject.toml
	$(BIN)/pip install --quiet --editable '.[dev]' -c constraints.txt
	touch $@

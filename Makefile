# Everything runs in .venv, made from the lock. Another Python for it: make env PYTHON=python3.12
PYTHON ?= python3
BIN := .venv/bin
# Marks in .venv: what the book needs is installed; so is what the tests need.
INSTALLED := .venv/.installed
COMPLETE := .venv/.complete
CHROMIUM ?= $(firstword $(shell command -v chromium chromium-browser google-chrome 2>/dev/null))

# "ok", else what is wrong with it; old enough syntax for any Python to answer
verdict = $(shell $(PYTHON) -c 'import sys; v = sys.version_info[:2]; \
	print("ok" if (3, 11) <= v <= (3, 13) else "is %d.%d" % v)' 2>/dev/null || echo "does not run")

.NOTPARALLEL: # both marks are of one environment
.PHONY: help env book test test-long test-book test-faults paper bench models trainer readme clean

help: ## print these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1#/p' Makefile | awk -F '#' '{ printf "make %-11s %s\n", $$1, $$2 }'

env: $(COMPLETE) ## create .venv with all packages of the lock; does nothing when it is current

# Marks are set last: without the first one an environment is taken for half made, and begun anew.
define install
	$(if $(filter ok,$(verdict)),,$(error Python 3.11 to 3.13 is needed, $(PYTHON) $(verdict): set PYTHON=))
	@test -e $(INSTALLED) || $(PYTHON) -m venv --clear .venv
	@rm -f $(INSTALLED)
	$(BIN)/python -m pip install -c constraints.txt -e '$(1)'
	$(BIN)/python -m pip check
	@touch $(INSTALLED) $(2)
endef

$(INSTALLED): constraints.txt pyproject.toml
	$(call install,.)

# What the tests need holds what the book needs: installed at once where neither is there.
$(COMPLETE): constraints.txt pyproject.toml
	$(call install,.[dev],$@)

book: $(INSTALLED) ## train the main experiment if not done here yet, and build book/_build/html/index.html
	$(BIN)/semantica book

test: env ## lint and the everyday tests, 6 to 18 minutes on 2 cores
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/nbstripout --verify --keep-id notebooks/*.ipynb
	$(BIN)/python -m pytest -m "not long and not faults" -n 2 --dist loadfile --no-loadscope-reorder

test-long: env ## the tests that take longer
	$(BIN)/python -m pytest -m long

test-book: env ## the book's pages in Chromium: what moves and trains, links, barriers, phone, print, dark
	$(if $(CHROMIUM),,$(error Chromium is needed, of your system's packages or CHROMIUM=its path))
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[browser]'
	$(BIN)/semantica book --no-train
	CHROMIUM='$(CHROMIUM)' $(BIN)/python -m pytest tests/pages/test_browser.py tests/pages/test_whole_book.py

test-faults: env ## kill, cut, damage and take away what runs, more than 700 times
	$(BIN)/python -m pytest -m faults

# All but the medium ones, which take days of a core.
PAPER := $(filter-out %-medium.yaml,$(wildcard notebooks/experiments/*.yaml))
paper: $(INSTALLED) ## train all experiments but the medium ones anew at paper scale, then build the book
	$(BIN)/semantica run --fresh --dry-run $(PAPER)
	$(BIN)/semantica run --fresh $(PAPER)
	$(BIN)/semantica book

bench: env ## speed of training beside a plain PyTorch loop; writes book/results/bench.json
	$(BIN)/python tests/benchmarks/bench.py

MODELS ?=
models: env ## fetch pinned packages with real models (37 MB; MODELS=all: 130 MB), store their measures
	$(BIN)/python -m semantica_lib.chapters.models.pinned $(MODELS)

trainer: env ## compile the kernel for the page "Train it here", with clang and lld
	$(BIN)/python book/trainer/build.py

readme: $(INSTALLED) ## rewrite the figures and tables of README.md from the published results
	$(BIN)/semantica readme

clean: ## remove what was built (book/_build, book/experiments); results stay
	rm -rf book/_build book/experiments

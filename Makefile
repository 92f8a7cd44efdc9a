# Everything that is done with this book. `make help` lists the commands.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000

BIN := $(VENV)/bin
READY := $(VENV)/ready
PAGES := _build/html

# One thread for each process: checks and notebooks run side by side.
ONE_THREAD := OMP_NUM_THREADS=1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help environment assets browser book serve test lint format repository clean

help:  ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 22

# The stamp is written last: after a failed installation the next call starts over.
$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "make: '$(PYTHON)' must be Python 3.11 or newer with venv." >&2; \
	  echo "On Debian or Ubuntu: apt install python3 python3-venv git make" >&2; \
	  echo "To use another interpreter: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing the pinned packages into $(VENV) (some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[book,test]'
	@# A new machine: write matplotlib's font cache now. Announced in a notebook, it would be a
	@# warning, and warnings stop the build.
	@$(BIN)/python -c 'import matplotlib.font_manager' 2>/dev/null
	@touch $(READY)

environment: $(READY)  ## install the pinned packages into .venv

assets: $(READY)  ## fetch the page assets and check them against the lock
	@$(BIN)/python book/fetch_assets.py

# Page tests report a missing browser themselves, so that the other checks still run.
browser: $(READY)  ## find or install the Chromium that tests the pages
	@$(BIN)/python book/find_browser.py --install || true

book: assets  ## execute the chapters and build the pages
	@$(BIN)/jupyter-book build . -n -W --keep-going -q

serve: book  ## build the book and serve it on this machine
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory $(PAGES) $(PORT)

lint: $(READY)  ## check style, imports between the parts, and notebooks without outputs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/nbstripout --verify --keep-id chapters/*.ipynb

format: $(READY)  ## rewrite code and notebooks to the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout --keep-id chapters/*.ipynb

# Colab has ipywidgets 7. One test drives the widgets there, in a process of its own.
build/ipywidgets7: $(READY)
	@$(BIN)/python -m pip install --quiet --no-deps --upgrade --target $@ \
	  ipywidgets==7.7.1 anywidget==0.9.18 ipython_genutils==0.2.0
	@touch $@

test: book lint browser build/ipywidgets7  ## build the book, then run every check
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --dist loadfile tests
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --nbmake --nbmake-timeout=300 chapters/*.ipynb

repository: $(READY)  ## write the repository's address everywhere: make repository URL=...
	@$(BIN)/python book/set_repository.py $(URL)

clean:  ## remove what was built; the environment stays
	rm -rf _build build book/assets

# Every target is one command; CI calls nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CT ?=
UI ?=
READY := $(VENV)/.ready
# A module's tests stay together: its servers are started once.
PARALLEL := --numprocesses auto --dist loadscope

.PHONY: help demo test check format bench fuzz docs lock clean
help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(READY) ## the whole path on embedded servers; CT=DIR takes DICOM files of your own, UI=1 shows the review page, PACS=AET@HOST:PORT gets the results too
	$(BIN)/python -m deploy.demo $(if $(CT),--ct "$(CT)") $(if $(UI),--ui) $(if $(PACS),--pacs "$(PACS)")

test: $(READY) ## install what the tests need, run all of them
	deploy/install-test-tools.sh
	$(BIN)/pytest $(PARALLEL)

check: $(READY) ## lint, types, import contracts, fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest tests/unit -m "not servers and not slow" $(PARALLEL)

fuzz: $(READY) ## 100,000 hostile inputs to everything that takes bytes
	$(BIN)/python -m tests.fuzz
	$(BIN)/pytest tests/fuzz/test_structured.py --hypothesis-profile=fuzz -q

format: $(READY) ## format and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## the benchmarks
	$(BIN)/python -m tests.bench

LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet
docs: $(READY) ## the pages of docs/ as a site, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lock: $(READY) ## renew requirements/*.txt: everything, and what each image holds of it
	$(LOCK) pyproject.toml --extra dev --upgrade -o requirements/lock.txt
	for image in storescp worker worker-gpu; do \
		$(LOCK) requirements/$$image.in -c requirements/lock.txt -o requirements/$$image.txt || exit; \
	done

clean: ## remove what the targets made
	rm -rf $(VENV) demo-output bench-output .pytest_cache .mypy_cache .ruff_cache

# pip fetches only uv; uv installs the locked versions, checked by hash, in seconds.
$(READY): pyproject.toml requirements/lock.txt deploy/make-venv.sh
	PYTHON="$(PYTHON)" deploy/make-venv.sh $(VENV)
	@touch $@

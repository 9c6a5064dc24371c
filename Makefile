# Each target is one command; CI calls these targets only.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CT ?=
UI ?=
RELEASE ?=
READY := $(VENV)/.ready
# Twice as many processes as cores: most tests of services wait for their timers.
PROCESSES := $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
# The tests of a module run in one process, so that its servers are started once. A process
# that dies ends the run with the name of its test; xdist would otherwise wait for ever.
# tests/conftest.py orders the modules.
PARALLEL := --numprocesses $(PROCESSES) --dist loadscope --no-loadscope-reorder --max-worker-restart 0
# The processes share the cores. More threads of a matrix product would wait for each other.
test check: export OPENBLAS_NUM_THREADS := 1

.PHONY: help demo test lint check format bench fresh cleanhost fuzz docs lock wheels sbom deb clean
help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(READY) ## run the demo on embedded servers; CT=DIR sends your own DICOM files, UI=1 serves the review page, PACS=AET@HOST:PORT receives the results too
	$(BIN)/python -m deploy.demo $(if $(CT),--ct "$(CT)") $(if $(UI),--ui) $(if $(PACS),--pacs "$(PACS)")

test: $(READY) ## install the tools of the tests, run all tests
	deploy/install-test-tools.sh
	$(BIN)/pytest $(PARALLEL)

lint: $(READY) ## style, spelling, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint ## what lint does, and the fast tests
	$(BIN)/pytest tests/unit -m "not servers and not slow" $(PARALLEL)

fresh: ## run demo and tests in clean Debian 12 and 13 systems (as root, about an hour)
	$(PYTHON) -m tests.fresh

cleanhost: $(READY) ## try the Debian package from installation to removal in a clean Debian 12, or 13 with RELEASE=trixie (as root, after make deb)
	$(BIN)/python -m tests.clean_host $(if $(RELEASE),--release $(RELEASE)) build/deb/osteoscreen_*.deb

fuzz: $(READY) ## run 160,000 hostile inputs against all parsers and rules
	$(BIN)/python -m tests.fuzz
	$(BIN)/pytest tests/fuzz/test_structured.py --hypothesis-profile=fuzz -q

format: $(READY) ## format, and fix lint errors that ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## run the benchmarks
	$(BIN)/python -m tests.bench

LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet
docs: $(READY) ## build the site from docs/ in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lock: $(READY) ## update requirements/*.txt: the lock file and the packages of each image
	$(LOCK) pyproject.toml --extra dev --upgrade -o requirements/lock.txt
	for image in storescp worker worker-gpu; do \
		$(LOCK) requirements/$$image.in -c requirements/lock.txt -o requirements/$$image.txt || exit; \
	done

wheels: $(READY) ## check that every locked package has a wheel for each Python and platform
	requirements/check-wheels.sh $(VENV)

sbom: $(READY) ## write the bills of materials (CycloneDX) of the images to build/sbom
	$(BIN)/python -m docs.generate.sbom build/sbom

deb: $(READY) ## build the Debian package in build/deb, for the Python of this system, or for PYTHON=python3.13
	deploy/deb/build.sh $(VENV) build/deb

clean: ## remove generated files
	rm -rf $(VENV) demo-output bench-output .pytest_cache .mypy_cache .ruff_cache

# pip installs uv only; uv installs the locked versions and verifies their hashes.
$(READY): pyproject.toml requirements/lock.txt deploy/make-venv.sh
	PYTHON="$(PYTHON)" deploy/make-venv.sh $(VENV)
	@touch $@

# Everything runs in .venv, which each target makes by itself and which is ready at once the second time.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready

# Beside all that .venv holds: the peers of the benchmarks, and the programs that `wingbar convert` writes for.
# OpenCV's wheels overwrite one another.
PEERS := .venv-peers/bin
TOOLS := .venv-tools/bin
# First those whose figures other work on the machine disturbs most, so that they run right after the command is given.
BENCHMARKS := prediction serving heap input scaling manifest maps res2net cost whole_run proposals parts scoring copies growth memory

# Every dependency at its lower bound; and what writes the bill of materials, which must not be in it.
LOWEST := .venv-lowest/bin
AT_LENGTH := hostile torture test_demo.py test_docs.py test_real_birds.py
SBOM := .venv-sbom/bin

# Tests start hundreds of processes: what one compiles, the next ones read.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test units test-lowest test-exchange lint sbom bench bench-quick fuzz
.PHONY: torture torture-backbones torture-inputs torture-ranks torture-serve clean

$(READY): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --editable '.[test]'
	touch $@

demo: $(READY)
	$(BIN)/wingbar demo

# One core is idle while types are checked, so the tests run beside it.
test: $(READY)
	$(MAKE) --no-print-directory --jobs 2 lint units

# A worker for each core, and a thread for each worker and what it starts.
units: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

.venv-lowest/.ready: pyproject.toml $(READY)
	$(PYTHON) -m venv .venv-lowest
	$(BIN)/python tests/support/lowest.py > .venv-lowest/constraints.txt
	$(LOWEST)/pip install --quiet --disable-pip-version-check --no-compile --constraint .venv-lowest/constraints.txt --editable '.[test]'
	touch $@

# `make test` tries the newest versions within pyproject's bounds, this the lowest. NOTICE tells of the newest.
# Left out is what tries our own code at length, whatever it stands on.
test-lowest: .venv-lowest/.ready
	OMP_NUM_THREADS=1 $(LOWEST)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(patsubst %,--ignore tests/%,$(AT_LENGTH)) --deselect \
		tests/test_supply.py::test_the_notice_tells_the_licence_of_each_dependency_as_the_package_states_it

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Kills and interrupts a small run, many times: docs/reliability.md. The tests do the same, a few times.
torture: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python tests/support/killing.py

# All that .venv holds, as CycloneDX 1.6: sbom.json.
sbom: $(READY)
	$(PYTHON) -m venv .venv-sbom
	$(SBOM)/pip install --quiet --disable-pip-version-check 'cyclonedx-bom>=7,<8'
	$(SBOM)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --validate \
		--output-file sbom.json $(BIN)/python

# A new environment in which all of .venv can be imported too.
define beside
$(PYTHON) -m venv $(1)
echo "import site; site.addsitedir('$(CURDIR)/$$(echo .venv/lib/python*/site-packages)')" \
	> "$$(echo $(1)/lib/python*/site-packages)/all-of-venv.pth"
endef

.venv-peers/.ready: $(READY)
	$(call beside,.venv-peers)
	$(PEERS)/pip install --quiet --disable-pip-version-check matplotlib opencv-contrib-python-headless ttach
	$(PEERS)/pip install --quiet --disable-pip-version-check --no-deps grad-cam
	touch $@

.venv-tools/.ready: $(READY)
	$(call beside,.venv-tools)
	$(TOOLS)/pip install --quiet --disable-pip-version-check --no-compile \
		frictionless python-dwca-reader label-studio-sdk ultralytics
	touch $@

# What `wingbar convert` writes, read by the programs that it is written for.
test-exchange: .venv-tools/.ready
	WINGBAR_TOOLS=1 $(TOOLS)/python -m pytest tests/exchange/test_tools.py

# Every benchmark writes its own section of docs/performance.md; they read cub50 in the folder that WINGBAR_DATA names.
bench: .venv-peers/.ready
	for name in $(BENCHMARKS); do $(PEERS)/python benchmarks/$$name.py --write || exit 1; done

# That each runs, in under three minutes; heap, memory, scaling and serving start processes, and take as long alone.
bench-quick: .venv-peers/.ready
	for name in $(filter-out heap memory scaling serving,$(BENCHMARKS)); do $(PEERS)/python benchmarks/$$name.py --quick || exit 1; done

# Every backbone of docs/backbones.md through the whole method, not the smallest of their families only.
torture-backbones: $(READY)
	WINGBAR_TORTURE=1 $(BIN)/python -m pytest -n auto tests/nets/test_backbones.py

# The long forms of tests that `make test` runs in short.
fuzz: $(READY)
	WINGBAR_FUZZ_SECONDS=660 $(BIN)/python -m pytest -s tests/hostile/test_fuzz.py

torture-inputs: $(READY)
	WINGBAR_TORTURE=10 $(BIN)/python -m pytest -s --durations=0 tests/hostile

torture-serve: $(READY)
	WINGBAR_TORTURE=10 $(BIN)/python -m pytest -s tests/serve/test_storm.py

torture-ranks: $(READY)
	WINGBAR_TORTURE=1 $(BIN)/python -m pytest -s -v --durations=0 tests/system/test_distributed.py

clean:
	rm -rf .venv .venv-lowest .venv-peers .venv-tools .venv-sbom sbom.json demo

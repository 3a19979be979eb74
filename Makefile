# Everything runs in .venv, which each target makes by itself and which is ready at once the second time.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready

# The peers of the benchmarks, beside all that .venv holds: OpenCV's wheels overwrite one another.
PEERS := .venv-peers/bin
BENCHMARKS := proposals parts scoring res2net maps prediction growth input manifest scaling

.PHONY: demo test lint bench bench-quick fuzz torture torture-backbones torture-inputs torture-ranks torture-serve clean

$(READY): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

demo: $(READY)
	$(BIN)/wingbar demo

test: lint
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Kills and interrupts a small run, many times: docs/reliability.md. The tests do the same, a few times.
torture: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python tests/support/killing.py

.venv-peers/.ready: $(READY)
	$(PYTHON) -m venv .venv-peers
	echo "import site; site.addsitedir('$(CURDIR)/$$(echo .venv/lib/python*/site-packages)')" \
		> "$$(echo .venv-peers/lib/python*/site-packages)/all-of-venv.pth"
	$(PEERS)/pip install --quiet --disable-pip-version-check matplotlib opencv-contrib-python-headless ttach
	$(PEERS)/pip install --quiet --disable-pip-version-check --no-deps grad-cam
	touch $@

.venv-peers: .venv-peers/.ready

# Every benchmark writes its own section of docs/performance.md; they read cub50 in the folder that WINGBAR_DATA names.
bench: .venv-peers/.ready
	for name in $(BENCHMARKS); do $(PEERS)/python benchmarks/$$name.py --write || exit 1; done

bench-quick: .venv-peers/.ready
	for name in $(BENCHMARKS); do $(PEERS)/python benchmarks/$$name.py --quick || exit 1; done

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
	WINGBAR_TORTURE=1 $(BIN)/python -m pytest -s -v --durations=0 tests/test_ranks.py

clean:
	rm -rf .venv .venv-peers demo

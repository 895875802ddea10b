# `make demo` trains and measures two robust classifiers; `make test` runs the
# tests. Each needs only Python 3.10 to 3.13 and installs the rest in `.venv`.
#
# `make test-large` runs the tests that take long or much memory, and `make
# test-numeric` those that compare numbers, again with the kernels of TensorFlow
# itself; those of networks also with what oneDNN has for processors without
# AVX-512.

PYTHON ?= python3
PYTEST_FLAGS ?=
# Each process takes up to 2 GB of memory, and one core.
TEST_PROCESSES ?= 3
PYTEST := .venv/bin/python -m pytest --durations=20 \
	--numprocesses=$(TEST_PROCESSES) --dist=worksteal $(PYTEST_FLAGS)
DEMO_FLAGS ?=

export KERAS_BACKEND := tensorflow
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-large test-numeric lint format

demo: .venv/installed-demo
	.venv/bin/python examples/train_digits.py $(DEMO_FLAGS)

test test-large test-numeric: export TF_NUM_INTRAOP_THREADS ?= 1

test: .venv/installed-test
	$(PYTEST) -m "not large"

test-large: .venv/installed-test
	$(PYTEST) -m large

test-numeric: .venv/installed-test
	TF_ENABLE_ONEDNN_OPTS=0 $(PYTEST) -m "numeric and not large"
	ONEDNN_MAX_CPU_ISA=AVX2 $(PYTEST) -m "numeric and not large" \
		tests/activations tests/convolutions_test.py tests/evaluation/robustness_test.py \
		tests/models tests/predictions tests/torch_weights tests/training tests/weights

lint: .venv/installed-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

format: .venv/installed-test
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

extras-demo := digits,plots
extras-test := test

.venv/installed-%: pyproject.toml setup.cfg setup.py constraints.txt | .venv/created
	.venv/bin/python -m pip install --quiet --constraint constraints.txt \
		--editable '.[$(extras-$*)]'
	touch $@

.venv/created:
	$(PYTHON) -m venv .venv
	touch $@

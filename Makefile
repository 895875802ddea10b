# `make demo` trains and measures two robust classifiers; `make test` runs the
# tests. Each needs only Python 3.10 to 3.13 and installs the rest in `.venv`.
#
# `make test-large` runs the tests that take long or much memory, and `make
# test-numeric` those that compare numbers, again with the kernels of TensorFlow
# itself; those of networks also with what oneDNN has for processors without
# AVX-512.
#
# `make docs` builds the site in `site/`, for which it needs Python 3.11 or newer;
# `make package` builds what a package index is given, in `dist/`, and checks it.

PYTHON ?= python3
PYTEST_FLAGS ?=
# Each process takes up to 2 GB of memory, and one core.
TEST_PROCESSES ?= 3
PYTEST := .venv/bin/python -m pytest --durations=20 \
	--numprocesses=$(TEST_PROCESSES) --dist=worksteal $(PYTEST_FLAGS)
DEMO_FLAGS ?=
DOCS_FLAGS ?=

export KERAS_BACKEND := tensorflow
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-large test-numeric lint format docs package

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

docs: .venv/installed-docs
	.venv/bin/python -m sphinx --builder html --conf-dir docs --fail-on-warning \
		--keep-going --jobs auto $(DOCS_FLAGS) . site

# The address of the repository makes the links of the README whole, which a
# package index shows by itself. On a forge, its CI knows the address. W009 would
# refuse a second folder beside that of the package.
package: export KERAS_SAT_REPOSITORY ?= $(if $(GITHUB_REPOSITORY),$(GITHUB_SERVER_URL)/$(GITHUB_REPOSITORY))
package: .venv/installed-package
	rm -rf build dist
	.venv/bin/python -m build --outdir dist .
	.venv/bin/python -m twine check --strict dist/*
	.venv/bin/check-wheel-contents --ignore W009 dist/*.whl

extras-demo := digits,plots
extras-docs := docs
extras-package := package
extras-test := test

.venv/installed-%: pyproject.toml setup.cfg setup.py constraints.txt | .venv/created
	.venv/bin/python -m pip install --quiet --constraint constraints.txt \
		--editable '.[$(extras-$*)]'
	touch $@

.venv/created:
	$(PYTHON) -m venv .venv
	touch $@

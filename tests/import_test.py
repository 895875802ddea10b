"""Who may import whom, and what the package needs to be importable."""

import ast
import pathlib
import subprocess
import sys

from absl.testing import parameterized

import keras_sat
from tests.test_case import TestCase

PACKAGE = pathlib.Path(keras_sat.__file__).parent

# Parts that all others may import; they know nothing of attacks or models.
HELPERS = {"checks", "config", "extras", "files"}

# From each part of the package to what else it may import.
MAY_IMPORT = {
    "checks": set(),
    "config": set(),
    "extras": set(),
    "programs": set(),
    "writing": set(),
    "averaging": set(),
    "monitors": {"averaging"},
    "batch_statistics": set(),
    "sharing": set(),
    "weights": set(),
    "preprocessing": set(),
    "activations": set(),
    "schedules": set(),
    "data": {"preprocessing"},
    "distribution": set(),
    "xla": {"distribution"},
    "plots": set(),
    "tracing": set(),
    "headers": set(),
    "endpoints": {"headers", "preprocessing", "tracing"},
    "export": {"averaging", "endpoints", "writing"},
    "models": {"activations", "sharing"},
    "attacks": {"batch_statistics", "xla"},
    "objectives": set(),
    "seed_states": set(),
    "settings": set(),
    "worker_gaps": {"distribution"},
    "replicated_model": {
        "averaging",
        "distribution",
        "settings",
        "worker_gaps",
        "xla",
    },
    "sat_model": {
        "attacks",
        "averaging",
        "batch_statistics",
        "export",
        "monitors",
        "objectives",
        "replicated_model",
        "schedules",
        "seed_states",
        "sharing",
        "stale_statistics",
        "weights",
        "writing",
    },
    "stale_statistics": {"attacks", "batch_statistics"},
    "files": set(),
    "journal": set(),
    "loading": {"sat_model"},
    "presentation": {"plots"},
    "report": {"presentation", "writing"},
    "subject": {"attacks"},
    "progress": {"report"},
    "reading": set(),
    "replicas": {"attacks", "distribution", "xla"},
    "overfitting": set(),
    "diagnostics": {"attacks", "overfitting", "report", "subject"},
    "evaluator": {
        "attacks",
        "distribution",
        "reading",
        "replicas",
        "report",
        "xla",
    },
    "curves": {"attacks", "evaluation", "evaluator", "journal", "progress"},
    "evaluation": {
        "attacks",
        "diagnostics",
        "distribution",
        "evaluator",
        "journal",
        "progress",
        "report",
        "writing",
    },
    "callbacks": {
        "attacks",
        "averaging",
        "distribution",
        "overfitting",
        "plots",
        "settings",
        "writing",
    },
    "recipes": {
        "attacks",
        "batch_statistics",
        "callbacks",
        "data",
        "distribution",
        "evaluation",
        "loading",
        "models",
        "objectives",
        "sat_model",
        "schedules",
        "writing",
    },
}
REQUIRED = {"absl", "filelock", "keras", "numpy", "tensorflow"}


def imported(nodes):
    """The dotted names of the modules that the statements import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # What is imported may be a module itself.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def refused_imports(part, source):
    """The imports in `source`, a file of `part`, that break the rules."""
    tree = ast.parse(source)
    refused = []
    for name in imported(ast.walk(tree)):
        package, *rest = name.split(".")
        if package == "keras_sat" and rest[0] != part:
            if rest[0] not in MAY_IMPORT[part] | HELPERS:
                refused.append(name)
    for name in imported(tree.body):
        package = name.split(".")[0]
        known = REQUIRED | {"keras_sat"} | set(sys.stdlib_module_names)
        if package not in known:
            refused.append(name)
    return refused


def parts():
    """Pairs of a part of the package, and one of its files."""
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if part != "__init__":
            yield part, path


class ImportTest(TestCase):
    def test_parts_import_only_the_levels_below_them(self):
        files = list(parts())
        self.assertGreater(len(files), 3)
        for part, path in files:
            self.assertIn(part, MAY_IMPORT, "Give the new part its level.")
            self.assertEqual(refused_imports(part, path.read_text()), [], path)

    @parameterized.parameters(
        ("models", "from keras_sat.attacks import PGD"),
        ("attacks", "def attack():\n    import keras_sat.models.resnet"),
        ("attacks", "from keras_sat import sat_model"),
        ("data", "import tensorflow_datasets as tfds"),
        ("plots", "from matplotlib.figure import Figure"),
    )
    def test_a_forbidden_import_is_noticed(self, part, source):
        self.assertLen(refused_imports(part, source), 1)

    def test_optional_packages_may_be_imported_inside_functions(self):
        source = "def load():\n    import tensorflow_datasets"
        self.assertEqual(refused_imports("data", source), [])

    def test_examples_import_no_part_of_the_package(self):
        root = PACKAGE.parent
        files = [*root.glob("examples/*.py"), *root.glob("benchmarks/*.py")]
        self.assertNotEmpty(files)
        for path in files:
            for name in imported(ast.walk(ast.parse(path.read_text()))):
                package, *rest = name.split(".")
                self.assertFalse(package == "keras_sat" and rest, path)

    def test_another_backend_ends_in_a_message_that_says_what_to_set(self):
        # The other backends need packages that are not installed here.
        program = (
            "import keras; keras.backend.backend = lambda: 'jax'; "
            "import keras_sat"
        )
        result = subprocess.run(
            [sys.executable, "-c", program],
            cwd=PACKAGE.parent,
            capture_output=True,
            text=True,
        )
        self.assertNotEqual(result.returncode, 0)
        self.assertRegex(
            result.stderr,
            "ImportError: `keras_sat`.*Received: .*'jax'.*"
            "KERAS_BACKEND=tensorflow",
        )

"""Checks which part of the package imports which, and what it all needs."""

import ast
import pathlib
import subprocess
import sys

from absl.testing import parameterized

import keras_sat
from tests.test_case import TestCase

PACKAGE = pathlib.Path(keras_sat.__file__).parent

# A part of the package imports only parts with a lower number. The same table,
# with a line about each part, is in CONTRIBUTING.md.
LEVELS = {
    "checks": 0,
    "extras": 0,
    "programs": 0,
    "version": 0,
    "config": 1,
    "distribution": 1,
    "files": 1,
    "optimizers": 1,
    "activations": 2,
    "convolutions": 2,
    "plots": 2,
    "predictions": 2,
    "preprocessing": 2,
    "schedules": 2,
    "weights": 2,
    "attacks": 3,
    "data": 3,
    "export": 3,
    "models": 3,
    "evaluation": 4,
    "torch_weights": 4,
    "training": 4,
    "callbacks": 5,
    "loading": 5,
    "pretrained": 6,
    "recipes": 6,
    "__init__": 7,
    "__main__": 8,
}
# Training, evaluation and callbacks work for any network and any data, so they
# know neither the networks nor the data sets of this package.
NEVER = {
    (part, other)
    for part in ("training", "evaluation", "callbacks")
    for other in ("models", "data")
}
# Other packages are optional: they are imported inside functions.
REQUIRED = {"absl", "filelock", "keras", "numpy", "tensorflow"}
# A package of its own, which does not wait for TensorFlow.
COMMAND = "keras_sat_command"


def imported(nodes):
    """Yields the modules that statements import, each as a list of names.

    `from a import b` gives `["a", "b"]`, because `b` may be a module, too.
    """
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = (node.module or "").split(".")
            yield from ([*package, alias.name] for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            function = getattr(node.func, "attr", getattr(node.func, "id", ""))
            argument = getattr(node.args[0], "value", None)
            if function == "import_module" and isinstance(argument, str):
                yield argument.split(".")


def is_allowed(part, name):
    """Tells whether a file of `part` may import a module of the package."""
    if len(name) < 2 or name[1] not in LEVELS:
        # This is the root package itself, or a name that it gives to users:
        # inside the package both would be circular.
        return False
    other = name[1]
    if other == part:
        # A file of the same part may be imported, but not the `__init__` of
        # that part, which imports the file in turn.
        return len(name) > 2 and (PACKAGE / part / f"{name[2]}.py").is_file()
    return LEVELS[other] < LEVELS[part] and (part, other) not in NEVER


def refused_imports(part, source):
    """Returns the imports in `source`, a file of `part`, that break a rule."""
    tree = ast.parse(source)
    refused = [
        ".".join(name)
        for name in imported(ast.walk(tree))
        if name[0] == "keras_sat" and not is_allowed(part, name)
    ]
    known = REQUIRED | {"keras_sat"} | set(sys.stdlib_module_names)
    if part == "__main__":
        known = known | {COMMAND}
    refused += [
        ".".join(name) for name in imported(tree.body) if name[0] not in known
    ]
    return refused


def files():
    """Yields the path, the part and the code of each file of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).with_suffix("").parts[0]
        yield path, part, path.read_text()


class ImportTest(TestCase):
    def test_parts_import_only_the_levels_below_them(self):
        found = list(files())
        self.assertGreater(len(found), 3)
        for path, part, source in found:
            self.assertIn(part, LEVELS, "Give the new part its number.")
            self.assertEqual(refused_imports(part, source), [], path)

    def test_the_package_is_made_of_few_files_and_packages(self):
        self.assertLessEqual(len(list(PACKAGE.glob("*.py"))), 12)

    @parameterized.parameters(
        # Upwards.
        ("attacks", "from keras_sat.training import sat_model"),
        ("checks", "from keras_sat import config"),
        ("data", "from keras_sat import recipes"),
        # Between equals.
        ("models", "from keras_sat.attacks import PGD"),
        ("attacks", "def attack():\n    import keras_sat.models.resnet"),
        ("training", "from keras_sat import evaluation"),
        # Never, though downwards.
        ("callbacks", "from keras_sat.data import pipeline"),
        # The `__init__` of its own package, and the root by its name.
        ("attacks", "from keras_sat.attacks import PGD"),
        ("attacks", "import keras_sat.attacks"),
        ("export", "import keras_sat"),
        ("export", "from keras_sat import __version__"),
        ("export", "import importlib\nimportlib.import_module('keras_sat')"),
        # Optional packages.
        ("data", "import tensorflow_datasets as tfds"),
        ("plots", "from matplotlib.figure import Figure"),
    )
    def test_a_forbidden_import_is_noticed(self, part, source):
        self.assertLen(refused_imports(part, source), 1)

    @parameterized.parameters(
        ("attacks", "from keras_sat.attacks import losses"),
        ("attacks", "from keras_sat.attacks.pgd import PGD"),
        ("attacks", "from keras_sat import checks"),
        ("training", "from keras_sat.attacks import PGD"),
    )
    def test_an_allowed_import_is_no_fault(self, part, source):
        self.assertEqual(refused_imports(part, source), [])

    def test_the_command_waits_for_nothing(self):
        paths = list((PACKAGE.parent / COMMAND).glob("*.py"))
        self.assertGreater(len(paths), 3)
        known = {COMMAND, "tyro"} | set(sys.stdlib_module_names)
        for path in paths:
            tree = ast.parse(path.read_text())
            at_once = {name[0] for name in imported(tree.body)}
            self.assertContainsSubset(at_once, known, path)
            for package, *rest in imported(ast.walk(tree)):
                # Only what all users can import.
                private = package == "keras_sat" and rest[1:]
                self.assertFalse(private, (path, rest))

    def test_optional_packages_may_be_imported_inside_functions(self):
        source = "def load():\n    import tensorflow_datasets"
        self.assertEqual(refused_imports("data", source), [])

    def test_examples_import_the_root_of_the_package_only(self):
        root = PACKAGE.parent
        files = [*root.glob("examples/**/*.py"), *root.glob("benchmarks/*.py")]
        self.assertNotEmpty(files)
        for path in files:
            for name in imported(ast.walk(ast.parse(path.read_text()))):
                package, *rest = name
                self.assertFalse(package == "keras_sat" and rest, path)
                self.assertNotEqual(package, "tests", path)

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

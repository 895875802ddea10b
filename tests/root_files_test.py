"""Checks that the files at the root agree with each other and the package."""

import ast
import configparser
import os
import pathlib
import re

import yaml

import keras_sat
from tests import import_test
from tests.test_case import TestCase

ROOT = pathlib.Path(__file__).parent.parent


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def setup():
    """Returns the sections of setup.cfg."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def supported():
    """Returns the versions of Python in the classifiers: `["3.10", ...]`."""
    return re.findall(r"Python :: (3\.\d+)", setup()["metadata"]["classifiers"])


def make_targets(text):
    """Returns the targets that `make` is called with in a text."""
    return re.findall(r"^make (\S+)", text, re.MULTILINE)


class VersionsTest(TestCase):
    def test_the_version_is_the_same_everywhere(self):
        citation = yaml.safe_load(read("CITATION.cff"))
        self.assertEqual(citation["version"], keras_sat.__version__)
        headings = re.findall(r"^## \[(.+?)\]", read("CHANGELOG.md"), re.M)
        self.assertEqual(headings[:2], ["Unreleased", keras_sat.__version__])
        # Setuptools reads it without importing the package.
        where = setup()["metadata"]["version"].removeprefix("attr: ")
        module, name = where.rsplit(".", 1)
        tree = ast.parse(read(module.replace(".", "/") + ".py"))
        values = [
            node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and node.targets[0].id == name
        ]
        self.assertEqual(values, [keras_sat.__version__])

    def test_the_supported_pythons_are_the_same_everywhere(self):
        versions = supported()
        self.assertGreater(len(versions), 1)
        minors = [int(version.split(".")[1]) for version in versions]
        self.assertEqual(minors, list(range(minors[0], minors[-1] + 1)))
        self.assertEqual(
            setup()["options"]["python_requires"],
            f">=3.{minors[0]},<3.{minors[-1] + 1}",
        )
        workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
        matrix = workflow["jobs"]["tests"]["strategy"]["matrix"]
        self.assertEqual(matrix["python-version"], versions)
        self.assertIn(f'target-version = "py3{minors[0]}"', read("ruff.toml"))
        words = f"Python {versions[0]} to {versions[-1]}"
        for path in (
            "CHANGELOG.md",
            "CONTRIBUTING.md",
            "Makefile",
            "README.md",
            "constraints.txt",
        ):
            self.assertIn(words, " ".join(read(path).split()), path)

    def test_ruff_has_one_version_and_one_line_length(self):
        version = re.search(r"^ruff==(\S+)$", read("constraints.txt"), re.M)[1]
        (hooks,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
        self.assertEqual(hooks["rev"], f"v{version}")
        self.assertEqual(
            [hook["id"] for hook in hooks["hooks"]],
            ["ruff-check", "ruff-format"],
        )
        length = re.search(r"^line-length = (\d+)$", read("ruff.toml"), re.M)[1]
        self.assertIn(f"max_line_length = {length}\n", read(".editorconfig"))


class CommandsTest(TestCase):
    def test_the_forge_runs_what_must_pass(self):
        workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
        steps = workflow["jobs"]["tests"]["steps"]
        runs = [step["run"] for step in steps if "run" in step]
        self.assertEqual(runs, [".ci/run"])
        self.assertTrue(os.access(ROOT / ".ci" / "run", os.X_OK))

    def test_the_commands_are_targets_of_the_makefile(self):
        rules = re.findall(r"^([a-z- ]+):(?!=)", read("Makefile"), re.M)
        known = {target for rule in rules for target in rule.split()}
        must_pass = make_targets(read(".ci/run"))
        shown = make_targets(read("CONTRIBUTING.md"))
        self.assertLen(shown, 3)
        # What a contributor is told to run is a part of what must pass.
        self.assertContainsSubset(shown, must_pass)
        for target in (*must_pass, *make_targets(read("README.md"))):
            self.assertIn(target, known)

    def test_the_readme_installs_all_extras_of_the_package(self):
        # Those that users have, and not who works on the package.
        own = {"docs", "package", "test"}
        extras = set(setup()["options.extras_require"]) - own
        readme = read("README.md")
        line = re.search(r"pip install '\.\[([\w,]+)\]'", readme)[1]
        # GPUs are not for everyone.
        self.assertEqual({*line.split(","), "cuda"}, extras)
        rows = re.findall(r"^\| .+ \|$", readme, re.M)
        self.assertEqual(
            set(re.findall(r"\(`(\w+)`\)", "\n".join(rows))), extras
        )
        page = read("docs/install.md")
        rows = re.findall(r"^\| `(\w+)` \|", page, re.M)
        self.assertEqual(set(rows), extras)
        for name in own:
            self.assertIn(f"`{name}` (`make {name}`", page)


class CitationTest(TestCase):
    def test_the_citation_names_the_paper_and_the_licence(self):
        citation = yaml.safe_load(read("CITATION.cff"))
        # What version 1.2.0 of the format requires.
        for key in ("cff-version", "message", "title", "authors"):
            self.assertIn(key, citation)
        self.assertEqual(citation["license"], setup()["metadata"]["license"])
        (paper,) = citation["references"]
        number = "2006.14536"
        self.assertIn(number, paper["url"])
        self.assertIn(number, paper["identifiers"][0]["value"])
        readme = " ".join(read("README.md").split())
        self.assertIn(paper["title"], readme)
        names = [author["family-names"] for author in paper["authors"]]
        self.assertIn(", ".join(names), readme)


class HouseTest(TestCase):
    def test_the_table_of_parts_is_that_of_the_import_rules(self):
        rows = re.findall(
            r"^\| (\d) \| `(\w+)` \| (.+) \|$", read("CONTRIBUTING.md"), re.M
        )
        table = {part: int(level) for level, part, _ in rows}
        self.assertLen(rows, len(table))
        self.assertEqual(table, import_test.LEVELS)

    def test_each_part_has_a_line_of_its_own(self):
        package = pathlib.Path(keras_sat.__file__).parent
        parts = {
            path.stem
            for path in package.iterdir()
            if path.suffix == ".py" or (path / "__init__.py").exists()
        }
        self.assertEqual(parts, set(import_test.LEVELS))

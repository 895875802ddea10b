"""Checks that the files, flags and names in the documents exist."""

import ast
import os
import pathlib
import re
import shlex
import textwrap

from absl.testing import parameterized

import keras_sat
from tests.readme_test import python_blocks
from tests.test_case import TestCase

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("docs/notebooks/*.md"),
    *ROOT.glob("benchmarks/*.md"),
    *ROOT.glob("examples/*.md"),
]
NAMES = sorted(str(path.relative_to(ROOT)) for path in PAGES)
FOLDERS = "benchmarks|docs|examples|keras_sat|tests"


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def headings(text):
    """Returns the anchors of the headings of a page, as forges make them."""
    text = re.sub("```.*?```", "", text, flags=re.DOTALL)
    lines = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    lines = [re.sub(r"[^\w\- ]", "", line.lower()) for line in lines]
    return {line.replace(" ", "-") for line in lines}


def commands(text):
    """Yields the commands of the examples and benchmarks in a page, as words.

    They are in blocks of shell, or in backticks, where they may be broken into
    lines.
    """
    blocks = re.findall(r"```(?:sh|yaml)\n(.*?)```", text, re.DOTALL)
    text = re.sub("```.*?```", "", text, flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    lines += re.findall(r"`([^`]+)`", text)
    for line in lines:
        found = re.search(
            r"(?:python\S*|srun) .*?(?:examples/|benchmarks[./]).*",
            line.replace("\n", " "),
        )
        if found:
            words = shlex.split(found[0].replace("$", ""), comments=True)
            # In YAML a command is a list.
            yield [word.rstrip(",]") for word in words]


def program(words):
    """Returns the path of the program that a command runs, and its flags."""
    for place, word in enumerate(words):
        if re.match("(examples|benchmarks)[./]", word):
            path = word.removesuffix(".py").replace(".", "/") + ".py"
            return path, words[place + 1 :]
    raise ValueError(f"No program in {words}.")


def flags_of(path):
    """Returns the names of the flags that a program defines, or imports."""
    text = read(path)
    names = set(re.findall(r'flags\.DEFINE_\w+\(\s*"(\w+)"', text))
    for other in re.findall("^from benchmarks import (\\w+)", text, re.M):
        names |= flags_of(f"benchmarks/{other}.py")
    if re.search("^from study import program$", text, re.M):
        names |= flags_of("examples/studies/study/program.py")
    return names


class PagesTest(TestCase):
    @parameterized.parameters(*NAMES)
    def test_links_lead_somewhere(self, name):
        text = read(name)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if link.startswith("http"):
                continue
            path, _, anchor = link.partition("#")
            target = (ROOT / name).parent / path if path else ROOT / name
            with self.subTest(link):
                self.assertTrue(target.exists())
                if anchor:
                    self.assertIn(anchor, headings(target.read_text("utf-8")))

    @parameterized.parameters(*NAMES)
    def test_files_that_are_named_exist(self, name):
        pattern = rf"(?<![\w/])(?:{FOLDERS})/[\w./]+\.\w+"
        for path in re.findall(pattern, read(name)):
            with self.subTest(path):
                self.assertTrue((ROOT / path).exists())

    @parameterized.parameters(*NAMES)
    def test_commands_have_the_flags_that_they_are_given(self, name):
        for words in commands(read(name)):
            with self.subTest(" ".join(words)):
                path, rest = program(words)
                known = flags_of(path)
                for word in rest:
                    if word.startswith("--"):
                        flag = word[2:].split("=")[0]
                        self.assertIn(flag, known)

    @parameterized.parameters(*NAMES)
    def test_names_of_the_package_exist(self, name):
        # Not those of files, like `.keras_sat.lock`.
        pattern = r"(?<![\w./])keras_sat((?:\.[A-Za-z]\w*)+)"
        for dotted in re.findall(pattern, read(name)):
            found = keras_sat
            for part in dotted.split(".")[1:]:
                with self.subTest(dotted):
                    self.assertTrue(hasattr(found, part), part)
                found = getattr(found, part, None)

    @parameterized.parameters(*NAMES)
    def test_blocks_of_python_can_be_read(self, name):
        text = read(name)
        blocks = [block for block, _ in python_blocks(text)]
        # Code for other libraries, and cells of notebooks with their tags.
        blocks += re.findall(r"```py\n(.*?)```", text, re.DOTALL)
        blocks += re.findall(
            r"```{code-cell}.*?\n(?::.*\n)*(.*?)```", text, re.DOTALL
        )
        for block in blocks:
            # Those in a list are indented.
            ast.parse(textwrap.dedent(block))

    def test_headings_become_anchors(self):
        self.assertEqual(
            headings("# A b\n\n```sh\n# no\n```\n## The authors' `c_d`\n"),
            {"a-b", "the-authors-c_d"},
        )

    def test_commands_are_found_in_blocks_and_in_text(self):
        page = (
            "Run `python -m benchmarks.a --b=1\n--c` or\n\n```sh\n# on one\n"
            "X=1 python examples/d.py \\\n    --e='{\"f\": 2}'  # slow\n```\n"
        )
        found = [program(words) for words in commands(page)]
        self.assertCountEqual(
            found,
            [
                ("benchmarks/a.py", ["--b=1", "--c"]),
                ("examples/d.py", ['--e={"f": 2}']),
            ],
        )


class ContributingTest(TestCase):
    """The lists of files to change, against what they are taken from."""

    @parameterized.parameters(
        ("an attack", "FAB"),
        ("an objective", "TRADES"),
        ("an activation", "mish"),
        ("a model family", "wide_resnet"),
    )
    def test_the_example_is_in_each_file_of_its_list(self, what, name):
        page = read("CONTRIBUTING.md")
        section = page.split(f"## Add {what}\n")[1].split("\n## ")[0]
        self.assertIn(f"`{name}`", section)
        # The paths before the colon, and the text behind it.
        steps = re.findall(
            r"^- ((?:`\S+\.(?:py|md)`(?:, )?)+)(.*(?:\n  .*)*)", section, re.M
        )
        self.assertGreater(len(steps), 4)
        for paths, text in steps:
            for path in re.findall("`(.+?)`", paths):
                with self.subTest(path):
                    self.assertIn(name, read(path))
                    for constant in re.findall("`([A-Z]{3,}[A-Z_]+)`", text):
                        self.assertRegex(read(path), f"(?m)^{constant} = ")


class ListsTest(TestCase):
    @parameterized.parameters("examples", "benchmarks")
    def test_each_program_has_its_line(self, folder):
        page = read(f"{folder}/README.md")
        rows = re.findall(r"^\| `(\w+\.py)` \| ", page, re.MULTILINE)
        files = {path.name for path in (ROOT / folder).glob("*.py")}
        self.assertLen(rows, len(set(rows)))
        self.assertEqual(set(rows), files - {"__init__.py"})

    def test_each_study_has_its_line(self):
        page = read("examples/README.md")
        rows = re.findall(r"^\| `studies/(\w+\.py)` \| ", page, re.MULTILINE)
        files = {path.name for path in (ROOT / "examples/studies").glob("*.py")}
        self.assertLen(rows, len(set(rows)))
        self.assertEqual(set(rows), files)

    def test_the_page_of_benchmarks_shows_each_of_them(self):
        page = read("docs/benchmarks.md")
        shown = {program(words)[0] for words in commands(page)}
        programs = {
            f"benchmarks/{path.name}"
            for path in (ROOT / "benchmarks").glob("*.py")
            if "app.run" in path.read_text()
        }
        self.assertEqual(shown, programs)
        for section in page.split("\n## ")[1:]:
            with self.subTest(section.split("\n")[0]):
                # A command, a day and a machine.
                self.assertNotEmpty(list(commands(section)))
                self.assertRegex(section, r"20\d\d-\d\d-\d\d")
                self.assertRegex(section, "(CPU cores|AMD EPYC|NVIDIA)")

    def test_the_site_leads_to_every_page(self):
        index = read("docs/index.md")
        trees = "\n".join(re.findall("```{toctree}.*?```", index, re.DOTALL))
        # A line is a page, or a title and a page.
        paths = re.findall(r"^(?:.+ <)?([\w./]+)>?$", trees, re.MULTILINE)
        shown = {os.path.normpath(f"docs/{path}.md") for path in paths}
        for name in NAMES:
            if name != "docs/index.md":
                self.assertIn(name, shown)

    def test_the_readme_leads_to_the_site(self):
        self.assertIn("](docs/index.md)", read("README.md"))

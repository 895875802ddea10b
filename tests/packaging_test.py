"""Checks what a package index is given, beside `make package`."""

import configparser
import pathlib
import re
import runpy

import keras_sat
from tests.test_case import TestCase

ROOT = pathlib.Path(keras_sat.__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
readme_for_index = runpy.run_path(str(ROOT / "setup.py"), run_name="setup")[
    "readme_for_index"
]


def links(text):
    """Returns the targets of the links and pictures of a page."""
    return re.findall(r"\]\(([^)\s]+)\)", text)


class ReadmeForIndexTest(TestCase):
    def test_links_get_the_address_of_the_repository(self):
        page = "[a](docs/a.md#b), ![c](docs/c.png), [d](https://e.f), [g](#h)"
        self.assertEqual(
            readme_for_index(page, "https://forge/x/y/", "1.2"),
            "[a](https://forge/x/y/blob/v1.2/docs/a.md#b), "
            "![c](https://forge/x/y/raw/v1.2/docs/c.png), "
            "[d](https://e.f), [g](#h)",
        )

    def test_without_a_repository_links_become_text(self):
        page = "[a](docs/a.md#b), ![c](docs/c.png), [d](https://e.f), [g](#h)"
        self.assertEqual(
            readme_for_index(page, "", "1.2"),
            "a, *c*, [d](https://e.f), [g](#h)",
        )

    def test_no_link_of_the_readme_needs_a_file_beside_it(self):
        self.assertTrue(any("docs/images/" in link for link in links(README)))
        for repository in ("", "https://forge.example/x/y"):
            text = readme_for_index(README, repository, "1.2")
            for link in links(text):
                self.assertRegex(link, "^(https://|#)")
            # Everything else is as it was.
            self.assertLen(text.splitlines(), len(README.splitlines()))

    def test_pictures_are_of_a_kind_that_indexes_show(self):
        for link in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
            self.assertTrue((ROOT / link).read_bytes().startswith(b"\x89PNG"))


class PackageDataTest(TestCase):
    def test_all_files_that_are_no_code_are_in_the_wheel(self):
        parser = configparser.ConfigParser()
        parser.read(ROOT / "setup.cfg", encoding="utf-8")
        kept = set()
        for package, patterns in parser["options.package_data"].items():
            folder = ROOT / package.replace(".", "/")
            for pattern in patterns.split():
                kept.update(folder.glob(pattern))
        found = {
            path
            for path in (ROOT / "keras_sat").rglob("*")
            if path.is_file() and path.suffix not in (".py", ".pyc")
        }
        self.assertNotEmpty(found)
        self.assertEqual(found, {path for path in kept if path.is_file()})


class SourceDistributionTest(TestCase):
    def test_the_folders_and_files_of_the_repository_are_in_it(self):
        lines = (ROOT / "MANIFEST.in").read_text().splitlines()
        kept = [line for line in lines if re.match("include|graft", line)]
        named = {word for line in kept for word in line.split()[1:]}
        for name in ("tests", "docs", "examples", "benchmarks"):
            self.assertIn(name, named)
        for name in ("constraints.txt", "CHANGELOG.md", "CITATION.cff"):
            self.assertIn(name, named)
        for name in named:
            self.assertTrue((ROOT / name).exists(), name)

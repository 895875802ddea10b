"""Checks how the pages of the reference are made of the docstrings.

What needs Sphinx is checked by `make docs`, for which warnings are errors.
"""

import pathlib
import re
import sys
import unittest.mock

from absl.testing import parameterized

import keras_sat
from tests.public_names_test import NAMES
from tests.test_case import TestCase

DOCS = pathlib.Path(keras_sat.__file__).parents[1] / "docs"
with unittest.mock.patch.object(sys, "path", [str(DOCS), *sys.path]):
    from building import docstrings
    from building import public_names
    from building import reference

DIRECTIVE = re.compile(
    r"^\.\. (?:autoclass|autofunction|py:data):: (\S+)", re.MULTILINE
)


def dotted(module, name):
    return ".".join(filter(None, ("keras_sat", module, name)))


class PublicNamesTest(TestCase):
    @parameterized.parameters(*NAMES)
    def test_each_name_has_its_place_on_the_pages(self, module):
        pages = reference.pages()
        documented = set(DIRECTIVE.findall("\n".join(pages.values())))
        targets = public_names.targets()
        modules = public_names.modules()
        for name in NAMES[module].split():
            name = dotted(module, name)
            with self.subTest(name):
                if name in modules:
                    self.assertIn(f"{name}.rst", pages)
                elif name == "keras_sat.strategy":
                    # The word alone is an argument in most texts.
                    self.assertIn(name, documented)
                else:
                    self.assertIn(targets[name], documented)

    def test_the_page_of_a_module_lists_what_is_in_it(self):
        page = reference.pages()["keras_sat.attacks.rst"]
        for name in NAMES["attacks"].split():
            short = public_names.targets()[f"attacks.{name}"]
            self.assertIn(f"<{short}>`", page)

    def test_everything_is_documented_once(self):
        found = DIRECTIVE.findall("\n".join(reference.pages().values()))
        self.assertLen(found, len(set(found)))

    def test_names_lead_to_the_shortest_one(self):
        targets = public_names.targets()
        for text in ("PGD", "attacks.PGD", "keras_sat.attacks.PGD"):
            self.assertEqual(targets[text], "keras_sat.PGD")
        self.assertEqual(targets["data.load"], "keras_sat.data.load")
        self.assertEqual(targets["Resume"], "keras_sat.callbacks.Resume")
        self.assertNotIn("load", targets)
        self.assertNotIn("strategy", targets)

    def test_inherited_methods_are_not_documented_again(self):
        self.assertIn("resized", public_names.methods(keras_sat.Attack))
        self.assertNotIn("resized", public_names.methods(keras_sat.PGD))
        self.assertContainsSubset(
            ["fit", "evaluate", "export"],
            public_names.methods(keras_sat.SATModel),
        )

    def test_constants_have_a_value_and_a_meaning(self):
        page = reference.pages()["keras_sat.distribution.rst"]
        self.assertIn(":value: ('auto', 'tpu'", page)
        self.assertIn("The devices that ``strategy`` can be asked for.", page)


class DocstringsTest(TestCase):
    @parameterized.parameters(
        ("`x`, and `Attack`s", r"``x``, and ``Attack``\ s"),
        ("[a b](https://c.d)", "`a b <https://c.d>`__"),
        ("`**kwargs` and **kwargs", r"``**kwargs`` and \*\*kwargs"),
        ("`a\n    b`", "``a b``"),
    )
    def test_code_and_links_are_rewritten(self, markdown, expected):
        self.assertEqual(docstrings.to_rst(markdown), expected)

    def test_blocks_become_directives(self):
        text = "Example:\n\n```python\na = `b`\n```\nEnd."
        self.assertEqual(
            docstrings.to_rst(text),
            ".. rubric:: Example\n\n\n.. code-block:: python\n\n    a = `b`\n"
            "\nEnd.",
        )

    def test_a_list_gets_an_empty_line_before_it(self):
        self.assertEqual(
            docstrings.to_rst("one of\n    - a\n      b\n    - c"),
            "one of\n\n    - a\n      b\n    - c",
        )

    def test_tables_become_tables(self):
        self.assertEqual(
            docstrings.to_rst("| a | b |\n|---|---|\n| `c` | d |\n"),
            ".. list-table::\n   :header-rows: 1\n\n   * - a\n     - b\n"
            "   * - ``c``\n     - d\n",
        )

    @parameterized.parameters(
        (keras_sat.FGSM, "epsilon=4 / 255"),
        (keras_sat.PGD, "(*, epsilon=4 / 255, norm='linf'"),
        (keras_sat.TRADES, "(*, beta=6.0)"),
        (keras_sat.SATModel, "(model, attack=..., eval_attack=..."),
    )
    def test_signatures_are_those_that_users_write(self, value, expected):
        self.assertIn(expected, docstrings.signature(value))

"""Runs the Python blocks of the README, in their order, like one program.

A block that is too large for a test has one or more comments before it, which
do not show on the page: `<!-- in the test: OLD => NEW -->` lets the test run
the block with OLD replaced by NEW. The blocks can use `ds` and `images`, which
stand for the data of the reader, and `small`, a function that builds a network.
"""

import os
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_sat
from tests.test_case import TestCase

README = pathlib.Path(keras_sat.__file__).parents[1] / "README.md"
COMMENT = re.compile(r"<!-- in the test: ([^\n]+) => ([^\n]*) -->\s*")
BLOCK = re.compile(f"((?:{COMMENT.pattern})*)```python\n(.*?)```", re.DOTALL)
TWO_LINES = """\
model = keras_sat.SATModel(keras_sat.efficientnet("l1", activation="swish"))
model.fit(ds)
"""


def python_blocks(text):
    """Yields each block as the reader sees it, and as the test runs it."""
    for match in BLOCK.finditer(text):
        block = smaller = match.group(match.lastindex)
        for old, new in COMMENT.findall(match.group(1)):
            if old not in smaller:
                raise ValueError(f"{old!r} is not in the block:\n{block}")
            smaller = smaller.replace(old, new)
        yield block, smaller


def small():
    """Returns a network for ten classes that compiles quickly."""
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(4, 3, strides=4, activation="silu"),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )


class ReadmeTest(TestCase):
    def test_a_comment_makes_the_next_block_smaller(self):
        page = (
            "<!-- in the test: 100 => 1 -->\n<!-- in the test: b => c -->\n"
            "```python\na(100, b)\n```\n\n```python\na(100)\n```\n"
        )
        self.assertEqual(
            list(python_blocks(page)),
            [("a(100, b)\n", "a(1, c)\n"), ("a(100)\n", "a(100)\n")],
        )

    def test_a_comment_that_changes_nothing_is_an_error(self):
        page = "<!-- in the test: 10 => 1 -->\n```python\na()\n```\n"
        with self.assertRaisesRegex(ValueError, "'10' is not in the block"):
            list(python_blocks(page))

    def test_the_readme_shows_the_two_lines(self):
        shown = [
            block
            for block, _ in python_blocks(README.read_text(encoding="utf-8"))
        ]
        self.assertTrue(any(block.endswith(TWO_LINES) for block in shown))

    @pytest.mark.large
    def test_the_blocks_run(self):
        generator = np.random.default_rng(0)
        images = generator.uniform(size=(4, 32, 32, 3)).astype("float32")
        labels = np.arange(4)
        ds = tf.data.Dataset.from_tensor_slices((images, labels)).batch(2)
        names = {
            "keras_sat": keras_sat,
            "ds": ds,
            "images": images,
            "small": small,
        }
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.get_temp_dir())
        keras.config.disable_interactive_logging()
        self.addCleanup(keras.config.enable_interactive_logging)
        for _, smaller in python_blocks(README.read_text(encoding="utf-8")):
            exec(compile(smaller, str(README), "exec"), names)
        model = names["model"]
        self.assertIsInstance(model, keras_sat.SATModel)
        self.assertGreater(int(model.optimizer.iterations), 0)

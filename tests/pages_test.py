"""Runs the Python blocks of pages of the site, each page like one program.

As in the README, a block that is too large has comments before it that make it
smaller for the test. The blocks can use `model`, `network`, `images` and
`labels`, `x` and `y`, `train_ds` and `test_ds`, which stand for what the reader
has. Blocks of other libraries are marked as `py`, and are not run.
"""

import os
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from tests.readme_test import python_blocks
from tests.readme_test import small
from tests.test_case import TestCase

DOCS = pathlib.Path(keras_sat.__file__).parents[1] / "docs"


class PagesTest(TestCase):
    @parameterized.parameters("attacks", "coming_from", "your_own")
    @pytest.mark.large
    def test_the_blocks_run(self, page):
        generator = np.random.default_rng(0)
        x = generator.uniform(size=(4, 32, 32, 3)).astype("float32")
        y = np.arange(4)
        ds = tf.data.Dataset.from_tensor_slices((x, y)).batch(2)
        model = keras_sat.SATModel(small())
        names = {
            "images": x,
            "keras_sat": keras_sat,
            "labels": y,
            "model": model,
            "network": model.model,
            "test_ds": ds,
            "train_ds": ds,
            "x": x,
            "y": y,
        }
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.get_temp_dir())
        keras.config.disable_interactive_logging()
        self.addCleanup(keras.config.enable_interactive_logging)
        path = DOCS / f"{page}.md"
        blocks = [block for _, block in python_blocks(path.read_text("utf-8"))]
        self.assertGreater(len(blocks), 4)
        for block in blocks:
            exec(compile(block, str(path), "exec"), names)
        if page == "attacks":
            self.assertAllEqual(names["first"], names["again"])
        # The page may have made images of its own.
        moved = names["adversarial"] - names["x"]
        self.assertGreater(np.abs(moved).max(), 0)

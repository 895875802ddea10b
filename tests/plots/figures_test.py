"""How pictures are saved, and what drawing needs."""

import os
import sys
from unittest import mock

import numpy as np
from keras import ops

from keras_sat import plots
from tests.test_case import TestCase


class SavingTest(TestCase):
    def test_the_picture_is_written_where_path_says(self):
        path = os.path.join(self.get_temp_dir(), "curve.png")
        plots.robustness_curves({"relu": {0.0: 0.9, 0.1: 0.5}}, path=path)
        from matplotlib.image import imread

        picture = imread(path)
        self.assertEqual(picture.shape[:2], (600, 900))
        self.assertGreater(np.std(picture[..., :3]), 0.05)

    def test_drawing_leaves_pyplot_alone(self):
        plots.activations({"silu": ops.silu})
        pyplot = sys.modules.get("matplotlib.pyplot")
        self.assertFalse(pyplot and pyplot.get_fignums())

    def test_a_missing_package_is_named_with_its_extra(self):
        with mock.patch.dict(sys.modules, {"matplotlib.figure": None}):
            with self.assertRaisesRegex(
                ImportError, r"matplotlib.*Received.*keras_sat\[plots\]"
            ):
                plots.activations({"silu": ops.silu})


class NotebookTest(TestCase):
    def test_notebooks_show_pictures_without_pyplot(self):
        figure = plots.activations({"relu": ops.relu})
        shown = figure._repr_png_()
        self.assertTrue(shown.startswith(b"\x89PNG"))
        path = os.path.join(self.get_temp_dir(), "picture.png")
        figure.savefig(path)
        with open(path, "rb") as file:
            self.assertEqual(shown, file.read())

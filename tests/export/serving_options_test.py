"""Tests of the options of an export."""

import os

import numpy as np
from absl.testing import parameterized

from tests.export.exported import NAMES
from tests.export.exported import ExportTest


class ServingOptionsTest(ExportTest):
    @parameterized.parameters(
        (dict(class_names=NAMES[:4]), ValueError, "class_names.*5 cl.*4 names"),
        (dict(class_names="abcde"), TypeError, "class_names.*sequence of str"),
        (dict(class_names=range(5)), TypeError, "class_names.*sequence of str"),
        (dict(class_names=7), TypeError, "class_names.*sequence of str"),
        (
            dict(class_names=["a", "b", "a", "b", "c"]),
            ValueError,
            r"`class_names` must differ.*more than once: \['a', 'b'\]",
        ),
        (dict(max_pixels=0), ValueError, "max_pixels.*at least 1"),
        (dict(max_pixels=2.5e7), TypeError, "max_pixels.*integer"),
        (dict(top_k=0), ValueError, "top_k.*at least 1"),
        (dict(top_k=6), ValueError, "top_k.*at most 5"),
        (dict(image_size=(9, 8)), ValueError, "image_size.*9"),
        (dict(image_size=8), TypeError, "image_size.*8"),
        (dict(value_range=(1, 0)), ValueError, "value_range.*low < high"),
        (dict(metadata={"a": {1}}), TypeError, "metadata.*JSON.*set"),
        (dict(metadata={"a": np.inf}), ValueError, "metadata.*JSON.*inf"),
        (dict(report="0.5"), TypeError, "report.*RobustnessReport"),
        (dict(classnames=NAMES), TypeError, "unexpected.*'classnames'"),
    )
    def test_arguments_that_make_no_sense_are_refused(
        self, options, error, words
    ):
        with self.assertRaisesRegex(error, words):
            self.export(**options)
        self.assertEqual(os.listdir(self.folder), [])

"""Tests of the arguments of `train`; `examples_test.py` runs it."""

import tensorflow as tf

from keras_sat import recipes
from tests.test_case import TestCase


class TrainTest(TestCase):
    def test_a_dataset_that_tells_no_classes_is_refused(self):
        plain = tf.data.Dataset.range(3)
        for data in (None, plain):
            with self.assertRaisesRegex(
                TypeError,
                "`train_ds` must be a dataset of data.load.*class_names",
            ):
                recipes.train(recipes.cifar10(), data, plain, "run")

    def test_unknown_precision_and_empty_reports_are_refused(self):
        recipe = recipes.cifar10()
        for options in ({"precision": "float16"}, {"report_images": 0}):
            (name,) = options
            with self.assertRaisesRegex(ValueError, f"`{name}` must.*Received"):
                recipes.train(recipe, None, None, "run", **options)

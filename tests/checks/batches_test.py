"""Tests of the checks of images and labels."""

import ml_dtypes
import numpy as np
from absl.testing import parameterized

from keras_sat.checks.batches import BatchSpec
from tests.test_case import TestCase

INTEGERS = [
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
]
EXPECTED = BatchSpec(
    value_range=(0, 1), image_shape=(4, None, 3), num_classes=5
)


def images(dtype="float32"):
    return np.full((6, 4, 2, 3), 0.5).astype(dtype)


class BatchSpecTest(TestCase):
    @parameterized.product(dtype=INTEGERS, shape=[(6,), (6, 1)])
    def test_class_ids_are_integers_of_any_kind(self, dtype, shape):
        labels = np.arange(6).reshape(shape) % 5
        EXPECTED.check(images(), labels.astype(dtype))
        with self.assertRaisesRegex(ValueError, "class ids from 0 to 6"):
            EXPECTED.check(images(), (labels + labels // 4 * 2).astype(dtype))

    @parameterized.parameters("float16", "float32", "float64", "int32", "bool")
    def test_probabilities_are_numbers_of_any_kind(self, dtype):
        EXPECTED.check(images(), np.eye(5)[np.arange(6) % 5].astype(dtype))

    def test_bfloat16_is_read(self):
        one_hot = np.eye(5)[np.arange(6) % 5]
        kind = ml_dtypes.bfloat16
        EXPECTED.check(images().astype(kind), one_hot.astype(kind))
        with self.assertRaisesRegex(ValueError, r"values in \[2, 2\]"):
            EXPECTED.check(images().astype(kind) * 4, one_hot)

    def test_the_number_of_the_batch_is_told(self):
        labels = np.zeros(6, int)
        with self.assertRaisesRegex(
            ValueError, "NaN or infinite values. This is batch 7, counted from"
        ):
            EXPECTED.check(images() * np.nan, labels, number=7)
        with self.assertRaisesRegex(TypeError, "dtype int64.*batch 7"):
            EXPECTED.check(images("int64"), labels, number=7)

    def test_gray_and_color_are_told_how_to_become_the_other(self):
        labels = np.zeros(6, int)
        gray = BatchSpec(value_range=(0, 1), image_shape=(4, None, 1))
        for spec, given, advice in (
            (
                gray,
                images(),
                "with channels=1, or give tf.image.rgb_to_grayscale",
            ),
            (EXPECTED, images()[..., :1], r"tf.repeat\(images, 3, axis=-1\)"),
            (EXPECTED, images()[:, :2, :, :1], r"shape \(6, 2, 2, 1\)\.$"),
            (EXPECTED, images()[..., 0], r"shape \(6, 4, 2\)\.$"),
        ):
            with self.assertRaisesRegex(ValueError, advice):
                spec.check(given, labels)

    def test_the_advice_fits_the_pixels(self):
        labels = np.zeros(6, int)
        with self.assertRaisesRegex(ValueError, "Undo the normalization"):
            EXPECTED.check(images() - 1, labels)
        with self.assertRaisesRegex(
            ValueError,
            r"Divide the images by 255, or pass uint8; or give "
            r"`value_range=\(0, 255\)` if the network takes that.",
        ):
            EXPECTED.check(images() * 255, labels)

    def test_weights_are_finite_and_one_for_each_image(self):
        labels = np.zeros(6, int)
        for shape in ((6,), (6, 1)):
            EXPECTED.check(images(), labels, np.ones(shape))
        for weights, message in (
            (np.ones(5), "`sample_weight` must have one entry for each"),
            (
                np.ones((6, 5)),
                r"`sample_weight` must have the shape \(batch,\)",
            ),
            (np.full(6, np.inf), "`sample_weight` must be finite"),
            (["a"] * 6, "`sample_weight` must be a single array"),
        ):
            with self.assertRaisesRegex((TypeError, ValueError), message):
                EXPECTED.check(images(), labels, weights)

    def test_labels_are_not_looked_at_where_none_are_needed(self):
        unlabelled = BatchSpec(value_range=(0, 1), labelled=False)
        unlabelled.check(images(), np.full(6, -1))

import keras
import numpy as np
from absl.testing import parameterized

from keras_sat import models
from keras_sat.models import standardization
from tests.models import reference
from tests.test_case import TestCase


def first(normalization, channels=3, size=4):
    """The first layer that a builder makes, as a model."""
    images = keras.Input((size, size, channels))
    outputs = standardization.standardize(images, normalization)
    return keras.Model(images, outputs)


class StandardizationTest(TestCase):
    @parameterized.parameters(
        ("imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("cifar10", (0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)),
        ((0.25, 0.5), 0.25, 0.5),
        (((0.1, 0.2, 0.3), 2.0), (0.1, 0.2, 0.3), 2.0),
    )
    def test_subtracts_the_mean_and_divides_by_the_deviation(
        self, normalization, mean, std
    ):
        images = np.random.default_rng(0).uniform(size=(2, 4, 4, 3))
        expected = (images - np.array(mean)) / np.array(std)
        self.assertAllClose(first(normalization)(images), expected, rtol=1e-5)

    def test_the_default_is_the_layer_of_older_files(self):
        model = first(standardization.SYMMETRIC)
        images = np.random.default_rng(0).uniform(size=(2, 4, 4, 3))
        self.assertAllClose(model(images), 2 * images - 1, atol=1e-6)
        self.assertEqual(model.layers[-1].name, "rescale")
        self.assertEmpty(model.weights)

    def test_statistics_are_saved_and_not_trained(self):
        model = first((0.0, 1.0))
        self.assertEmpty(model.trainable_weights)
        model.layers[-1].mean.assign([0.1, 0.2, 0.3])
        model.layers[-1].std.assign([0.4, 0.5, 0.6])
        loaded = reference.save_and_load(model, self.get_temp_dir())
        images = np.random.default_rng(0).uniform(size=(2, 4, 4, 3))
        self.assert_same_bits(loaded(images), model(images))

    def test_computes_in_float32_under_any_policy(self):
        keras.config.set_dtype_policy("mixed_bfloat16")
        model = models.wide_resnet(10, 1, normalization="cifar10")
        layer = model.get_layer("standardize")
        self.assertEqual(layer.compute_dtype, "float32")

    @parameterized.parameters(
        ("imagenett", "must be one of .*'cifar10', 'imagenet'"),
        (0.5, "must be one of"),
        ((0.5, 0.0), "std > 0"),
        ((0.5, (0.1, 0.2)), "sequences of 3 numbers"),
        ((0.5, float("nan")), "std > 0"),
        ((0.5, "a"), "must be one of"),
    )
    def test_says_what_is_wrong(self, normalization, message):
        with self.assertRaisesRegex(ValueError, f"`normalization`.*{message}"):
            models.wide_resnet(10, 1, normalization=normalization)

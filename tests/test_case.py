"""What the tests share."""

import functools
import pathlib

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from tensorflow.python.framework import test_util

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
# Half a unit in the last place of 1: the error of one rounding.
ROUNDING = {
    "float64": 2.0**-53,
    "float32": 2.0**-24,
    "float16": 2.0**-11,
    "bfloat16": 2.0**-8,
}
# Those of a pass through `tiny_classifier`: 27 products and 36 pixels and 8
# products are added, and there are a few operations in between.
PASS = 120


@functools.cache
def needs_xla(dtype):
    """Whether TensorFlow convolves numbers of a type only by XLA here.

    With `ONEDNN_MAX_CPU_ISA=AVX2`, oneDNN has no bfloat16. A processor with
    AVX-512 hides that from TensorFlow, which then hands them to oneDNN.
    """
    one = tf.ones((1, 1, 1, 1), dtype)
    try:
        tf.nn.conv2d(one, one, 1, "VALID")
    except tf.errors.AbortedError:
        return True
    return False


def available(dtype):
    """A type of numbers that is as short, where oneDNN has no such kernels."""
    halves = "bfloat16", "float16"
    return dtype.replace(*halves) if needs_xla("bfloat16") else dtype


def precision(network):
    """The coarsest type of numbers that layers of a network compute with."""
    dtypes = {layer.compute_dtype for layer in network.layers}
    return max(dtypes, key=ROUNDING.get)


def logits_of(model, images):
    """What a network of any precision makes of images."""
    if needs_xla(precision(model)):
        model = tf.function(model, jit_compile=True)
    return model(images)


def roundings(network):
    """Number of operations, one after the other, of a pass through a network.

    A sum of n products counts as 2n, any other operation as 10; a mean over
    pixels, which is short in a tiny network, as those. What the layers of
    branches do at the same time is counted as well.
    """
    fans = [
        2 * np.prod(weight.shape[:-1], dtype=int)
        for weight in network.trainable_weights
        if len(weight.shape) > 1
    ]
    return int(sum(fans)) + 10 * len(network.layers)


class TestCase(tf.test.TestCase, parameterized.TestCase):
    """Assertions on arrays, parameters for tests, and small models."""

    # Else unittest collects this method of the base class, as a skipped test.
    test_session = None

    def deterministic(self):
        """Lets the same computation give the same bits, in a `with` block."""
        # TensorFlow can switch determinism on in public, and off only here.
        return test_util.deterministic_ops()

    def tiny_classifier(self, seed=0, normalized=True):
        """A network small enough for any test, and a batch of images.

        The moving statistics are not those of the images, so that running it in
        the wrong mode shows. The labels are the classes that it predicts: every
        image is classified right.

        Args:
            seed: int. Fixes images and labels.
            normalized: bool. Whether there is batch normalization.

        Returns:
            Functional `keras.Model`, images `(32, 8, 8, 3)` in `[0, 1]`, int
            labels `(32,)` of 5 classes.
        """
        generator = np.random.default_rng(seed)
        inputs = keras.Input((8, 8, 3), name="images")
        x = keras.layers.Conv2D(8, 3, name="conv")(inputs)
        if normalized:
            normalization = keras.layers.BatchNormalization(
                momentum=0.9, name="normalization"
            )
            x = normalization(x)
            normalization.moving_mean.assign(generator.normal(0, 0.3, 8))
            normalization.moving_variance.assign(
                generator.uniform(0.05, 0.2, 8)
            )
        x = keras.layers.Activation("silu")(x)
        x = keras.layers.GlobalAveragePooling2D()(x)
        logits = keras.layers.Dense(5, name="logits")
        model = keras.Model(inputs, logits(x), name="tiny_classifier")
        kernel, bias = logits.get_weights()
        logits.set_weights([5 * kernel, bias])
        images = generator.uniform(0, 1, (32, 8, 8, 3)).astype("float32")
        labels = np.argmax(logits_of(model, images), axis=1)
        return model, images, labels.astype("int32")

    def use_deterministic_ops(self):
        """Lets the operations of this test give the same bits each time."""
        self.enter_context(self.deterministic())

    def assert_same_bits(self, found, expected):
        """Checks that two structures of arrays are equal to the bit.

        For what is computed twice in the same way, in arrays of the same shape.
        """
        tf.nest.map_structure(self.assertAllEqual, found, expected)

    def assert_same_up_to_rounding(
        self, found, expected, roundings=PASS, scale=None, dtype="float32"
    ):
        """Checks that two ways to compute the same differ by rounding only.

        Processors, batches of another size and XLA add in another order. Each
        operation between what is given and what comes out moves it by up to
        half a unit in the last place of the largest number on the way, up or
        down: n of them are a random walk, which ends within `sqrt(n)` halves,
        and is here allowed four times as much.

        Args:
            found: structure of arrays.
            expected: structure like `found`.
            roundings: int. Number of operations, one after the other. Defaults
                to those of a pass through `tiny_classifier`, forward or back.
            scale: float. The largest number on the way. Defaults to the largest
                of `expected`.
            dtype: str. What is rounded to.
        """
        tf.nest.assert_same_structure(found, expected, check_types=False)
        pairs = [
            [np.asarray(tf.cast(x, "float64")) for x in pair]
            for pair in zip(
                tf.nest.flatten(found), tf.nest.flatten(expected), strict=True
            )
        ]
        if scale is None:
            scale = max(np.abs(y).max() for _, y in pairs)
        bound = 4 * roundings**0.5 * ROUNDING[dtype] * scale
        for x, y in pairs:
            self.assertAllClose(x, y, rtol=0, atol=bound)

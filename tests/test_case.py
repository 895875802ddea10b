"""What the tests share."""

import contextlib
import os

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

# TensorFlow can switch determinism on in public, and off only here.
from tensorflow.python.framework import config as tensorflow_config


class TestCase(tf.test.TestCase, parameterized.TestCase):
    """Assertions on arrays, parameters for tests, and small models."""

    # Else unittest collects this method of the base class, as a skipped test.
    test_session = None

    @contextlib.contextmanager
    def deterministic(self):
        """Lets the same computation give the same bits."""
        before = tensorflow_config.is_op_determinism_enabled()
        tf.config.experimental.enable_op_determinism()
        try:
            yield
        finally:
            if not before:
                tensorflow_config.disable_op_determinism()

    def assert_same_bits(self, arrays, expected):
        """Checks that two lists of arrays are equal, bit by bit."""
        self.assertLen(arrays, len(expected))
        for one, two in zip(arrays, expected, strict=True):
            self.assertAllEqual(one, two)

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
        labels = np.argmax(model(images), axis=1).astype("int32")
        return model, images, labels

    def run_saving_test(self, model, images):
        """Checks that saving and loading keep the class and the outputs.

        Args:
            model: `keras.Model`.
            images: array that `model` takes.

        Returns:
            The loaded model.
        """
        path = os.path.join(self.get_temp_dir(), "model.keras")
        model.save(path)
        loaded = keras.saving.load_model(path)
        self.assertIs(type(loaded), type(model))
        self.assertEqual(loaded.get_config(), model.get_config())
        self.assertAllClose(
            tf.convert_to_tensor(loaded(images, training=False)),
            tf.convert_to_tensor(model(images, training=False)),
            rtol=0.0,
            atol=1e-6,
        )
        return loaded

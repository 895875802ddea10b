"""Networks that always give the same logits, and those that may not."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.attacks import PGD
from keras_sat.attacks.network import CompiledNetwork
from keras_sat.attacks.network import Network
from keras_sat.attacks.stages import attacked
from keras_sat.attacks.stages import new_stage
from tests.test_case import TestCase

GENERATOR = tf.random.Generator.from_seed(1)


@keras.saving.register_keras_serializable("tests")
class Dropout(keras.layers.Dropout):
    """Dropout also in inference."""

    def call(self, inputs, training=False):
        """See `keras.layers.Dropout`."""
        return super().call(inputs, training=True)


def normalized(dropout=keras.layers.Dropout):
    """Returns a network with batch normalization and dropout."""
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(4, 3, activation="silu")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = dropout(0.5)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def with_noise(noise):
    """Returns a function to logits that depend on random numbers."""
    return lambda x: tf.reduce_mean(x, (1, 2)) + noise(tf.shape(x)[:1])[:, None]


STEADY = {
    "a_network": normalized,
    "one_of_keras": lambda: keras.applications.MobileNetV2(
        weights=None,
        input_shape=(32, 32, 3),
        alpha=0.35,
        classifier_activation=None,
    ),
    "one_with_random_numbers_of_a_seed": lambda: with_noise(
        lambda shape: tf.random.stateless_normal(shape, (1, 2))
    ),
    "one_with_a_loop_and_a_condition": lambda: (
        lambda x: tf.while_loop(
            lambda i, _: i < 3,
            lambda i, y: (
                i + 1,
                tf.cond(i > 1, lambda: 2 * y, lambda: tf.nn.relu(y)),
            ),
            (0, tf.reduce_mean(x, (1, 2))),
        )[1]
    ),
}
UNSTEADY = {
    "dropout_that_stays": lambda: normalized(Dropout),
    "noise_of_tensorflow": lambda: with_noise(tf.random.normal),
    "noise_of_keras": lambda: with_noise(
        lambda shape: keras.random.normal((1,)) + tf.zeros(shape)
    ),
    "noise_of_a_generator": lambda: with_noise(GENERATOR.normal),
    "noise_inside_a_function": lambda: tf.function(
        with_noise(tf.random.normal), autograph=False
    ),
    "noise_in_a_branch": lambda: (
        lambda x: tf.cond(
            tf.reduce_sum(x) > 0,
            lambda: with_noise(tf.random.normal)(x),
            lambda: tf.reduce_mean(x, (1, 2)),
        )
    ),
    "a_python_function": lambda: (
        lambda x: tf.ensure_shape(
            tf.numpy_function(lambda x: x.mean((1, 2)), [x], tf.float32),
            (None, 3),
        )
    ),
}


def images_for(model):
    """Returns two images."""
    shape = getattr(model, "input_shape", (None, 4, 4, 3))[1:]
    return tf.constant(np.random.default_rng(0).random((2, *shape), "float32"))


class RandomnessTest(TestCase):
    @parameterized.named_parameters(*STEADY.items())
    def test_is_known_to_be_deterministic(self, build):
        model = build()
        images = images_for(model)
        network = CompiledNetwork(model, jit_compile=False)
        self.assertTrue(network.is_deterministic(images))
        self.assert_same_bits(network(images), network(images))

    @parameterized.named_parameters(*UNSTEADY.items())
    def test_may_change_from_call_to_call(self, build):
        model = build()
        network = CompiledNetwork(model, jit_compile=False)
        self.assertFalse(network.is_deterministic(images_for(model)))

    def test_of_a_network_without_a_graph_nothing_is_known(self):
        model = normalized()
        self.assertFalse(Network(model).is_deterministic(images_for(model)))

    def test_only_a_deterministic_network_lets_pgd_leave_out_turns(self):
        steps = 60
        for noise, stops in (0.0, True), (1e-3, False):
            calls = []

            def count(labels, logits, calls=calls):
                tf.py_function(lambda: calls.append(1), [], [])
                return tf.reduce_sum(logits, axis=1) * tf.cast(
                    labels, "float32"
                )

            def model(x, noise=noise):
                logits = tf.reduce_mean(x, (1, 2))
                if noise:
                    logits += noise * tf.random.normal(tf.shape(logits))
                return logits

            attack = PGD(epsilon=0.01, steps=steps, loss=count)
            network = CompiledNetwork(model, jit_compile=False)
            images = images_for(None)
            # Never misclassified: no class is as likely as the right one.
            images = tf.concat([images[..., :2] * 0.1, images[..., 2:]], -1)
            labels = np.array([2, 2], "int32")
            stage = new_stage(attack, network, 3, 2, (1, 2))
            attacked(stage, images, labels)
            if stops:
                self.assertLess(len(calls), 40)
            else:
                self.assertGreaterEqual(len(calls), steps)

"""Tests of the ways to write a softmax at the end of a network."""

import keras
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.checks import classifiers
from keras_sat.checks import endings
from tests.checks.networks import PGD
from tests.checks.networks import SHAPE
from tests.checks.networks import batch
from tests.checks.networks import dense
from tests.checks.networks import network
from tests.test_case import TestCase
from tests.test_case import available

layers = keras.layers


def by_hand(x):
    return keras.ops.softmax(x)


def clipped(x):
    return keras.ops.clip(dense("softmax")(x), 1e-7, 1 - 1e-7)


def nested(*parts):
    return keras.Sequential([keras.Input((5,)), *parts])


# The kind of each, and how it is written.
ENDINGS = {
    "name": ("softmax", dense("softmax")),
    "function_of_tensorflow": ("softmax", dense(tf.nn.softmax)),
    "function": ("softmax", dense(by_hand)),
    "layer_inside": ("softmax", dense(layers.Softmax())),
    "operation": ("softmax", lambda x: keras.ops.softmax(dense()(x))),
    "activation": (
        "softmax",
        lambda x: keras.activations.softmax(dense()(x)),
    ),
    "layer": ("softmax", lambda x: layers.Softmax()(dense()(x))),
    "activation_layer": (
        "softmax",
        lambda x: layers.Activation("softmax")(dense()(x)),
    ),
    "lambda": (
        "softmax",
        lambda x: layers.Lambda(tf.nn.softmax)(dense()(x)),
    ),
    "no_effect_after": (
        "softmax",
        lambda x: layers.Identity()(
            layers.Activation("linear")(
                layers.Dropout(0.5)(dense("softmax")(x))
            )
        ),
    ),
    "reshaped": (
        "softmax",
        lambda x: layers.Flatten()(layers.Reshape((1, 5))(dense("softmax")(x))),
    ),
    "cast": (
        "softmax",
        lambda x: keras.ops.cast(
            dense("softmax", dtype=available("bfloat16"))(x), "float32"
        ),
    ),
    "temperature": ("softmax", lambda x: keras.ops.softmax(dense()(x) / 3.0)),
    "clipped": ("softmax", clipped),
    "nested": ("softmax", lambda x: nested(layers.Softmax())(dense()(x))),
    "before_a_nested_one": (
        "softmax",
        lambda x: nested(layers.Identity())(dense("softmax")(x)),
    ),
    "log_softmax": ("log-softmax", dense("log_softmax")),
    "log_softmax_of_tensorflow": ("log-softmax", dense(tf.nn.log_softmax)),
    "logarithm": (
        "log-softmax",
        lambda x: keras.ops.log(dense("softmax")(x)),
    ),
    "sigmoid": ("sigmoid", dense("sigmoid")),
    "sigmoid_operation": (
        "sigmoid",
        lambda x: keras.ops.sigmoid(dense()(x)),
    ),
}


INVERSE = {
    "softmax": tf.nn.softmax,
    "log-softmax": tf.nn.log_softmax,
    "sigmoid": tf.nn.sigmoid,
}


class EndingTest(TestCase):
    @parameterized.named_parameters(
        (name, *case) for name, case in ENDINGS.items()
    )
    def test_every_spelling_is_found_and_can_be_left_out(self, kind, end):
        model = network(end)
        self.assertEqual(endings.ending(model)[0], kind)
        with self.assertRaisesRegex(
            ValueError,
            "`model` must return logits. Received.*classifier_activation=None",
        ):
            classifiers.classifier("model", model)
        images, _ = batch()
        logits = keras_sat.convert_activations(model, remove_softmax=True)
        self.assertAllClose(
            INVERSE[kind](tf.cast(logits(images), tf.float32)),
            tf.cast(model(images), tf.float32),
            # Probabilities in bfloat16.
            rtol=0.0,
            atol=2**-8 if end is ENDINGS["cast"][1] else 1e-6,
        )
        classifiers.classifier("model", logits)

    @parameterized.parameters(None, "tanh", "relu6", "softplus")
    def test_logits_of_any_shape_are_none_of_them(self, activation):
        model = network(dense(activation))
        self.assertEqual(endings.ending(model), (None, []))
        self.assertEqual(classifiers.classifier("model", model), (SHAPE, 5))

    def test_it_is_found_while_a_function_is_traced(self):
        model = network(dense(tf.nn.softmax))
        images, labels = batch()
        for jit_compile in (False, True):
            run = keras_sat.attacks.compiled(PGD, model, jit_compile)
            with self.assertRaisesRegex(ValueError, "must return logits"):
                run(images, labels, (0, 1))

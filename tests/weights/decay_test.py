"""Tests of weight decay."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.weights import decay
from tests.test_case import TestCase
from tests.test_case import available

ATTACK = keras_sat.PGD(steps=1, random_start=False)


def network(body="float32", head="float32", **options):
    """Returns a small network of one precision, with a head of another."""
    x = keras.Input((8, 8, 3))
    h = keras.layers.Conv2D(4, 3, dtype=body, **options)(x)
    h = keras.layers.BatchNormalization(dtype=body)(h)
    h = keras.layers.GlobalAveragePooling2D(dtype=body)(h)
    return keras.Model(x, keras.layers.Dense(5, dtype=head)(h))


def data():
    generator = np.random.default_rng(0)
    images = generator.uniform(size=(8, 8, 8, 3)).astype("float32")
    return images, np.arange(8) % 5


class DecayTest(TestCase):
    def test_kernels_of_any_precision_are_summed_in_float32(self):
        model = network("float16", "float64")
        # Its squares overflow in half precision.
        model.layers[1].kernel.assign(300 * tf.ones((3, 3, 3, 4)))
        model.layers[-1].kernel.assign(0.1 * tf.ones((4, 5)))
        penalty = decay.penalty(model)
        self.assertEqual(penalty.dtype, tf.float32)
        expected = (108 * 300**2 + 20 * 0.1**2) / 2
        self.assertAllClose(penalty, expected, rtol=1e-6)

    def test_without_kernels_it_is_zero(self):
        model = network()
        for layer in model.layers:
            layer.trainable = "batch" in layer.name
        self.assertLen(model.trainable_variables, 2)
        self.assertEqual(decay.kernels(model), [])
        self.assertEqual(decay.penalty(model), 0.0)

    @parameterized.parameters(
        ("float16", "float16"),
        ("bfloat16", "bfloat16"),
        ("float64", "float64"),
        ("float32", "float64"),
        ("float16", "float32"),
        ("bfloat16", "float64"),
    )
    def test_layers_of_any_precision_are_trained(self, body, head):
        body, head = available(body), available(head)
        images, labels = data()
        inner = network(
            body, head, kernel_regularizer="l2", activity_regularizer="l2"
        )
        model = keras_sat.SATModel(inner, ATTACK, ATTACK)
        start = inner.layers[1].kernel.numpy()
        logs = model.fit(images, labels, verbose=0).history
        self.assertAllInRange(logs["loss"], 1.0, 3.0)
        self.assertNotAllEqual(start, inner.layers[1].kernel.numpy())
        loss, *_ = model.evaluate(images, labels, verbose=0)
        self.assertBetween(loss, 1.0, 3.0)
        self.assertBetween(model.train_on_batch(images, labels)[0], 1.0, 3.0)

    def test_only_normalization_is_trained(self):
        inner = network()
        for layer in inner.layers:
            layer.trainable = "batch" in layer.name
        model = keras_sat.SATModel(inner, ATTACK, ATTACK)
        before = [v.numpy() for v in inner.weights]
        model.fit(*data(), verbose=0)
        moved = {
            v.path.split("/")[-1]
            for v, old in zip(inner.weights, before, strict=True)
            if np.any(v.numpy() != old)
        }
        self.assertEqual(
            moved, {"gamma", "beta", "moving_mean", "moving_variance"}
        )

    def test_the_biases_of_an_int8_network_are_trained(self):
        x = keras.Input((8, 8, 3))
        h = keras.layers.GlobalAveragePooling2D()(x)
        inner = keras.Model(x, keras.layers.Dense(5)(h))
        inner.layers[-1].quantize("int8")
        model = keras_sat.SATModel(inner, ATTACK, ATTACK)
        before = inner.layers[-1].bias.numpy()
        model.fit(*data(), verbose=0)
        self.assertNotAllClose(before, inner.layers[-1].bias, atol=1e-4)
        self.assertEqual(inner.layers[-1].kernel.dtype, "int8")

    @parameterized.parameters("fit", "train_on_batch")
    def test_with_nothing_to_train_it_is_only_evaluated(self, method):
        inner = network()
        inner.trainable = False
        model = keras_sat.SATModel(inner, ATTACK, ATTACK)
        before = model.get_weights()
        with self.assertRaisesRegex(
            ValueError,
            "`model` must have weights that can be trained. Received 8 weights,"
            " none of them trainable. Set `trainable = True`",
        ):
            getattr(model, method)(*data())
        logs = model.evaluate(*data(), verbose=0, return_dict=True)
        self.assertGreater(logs["loss"], 0)
        for one, two in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(one, two)

    def test_weight_decay_is_for_kernels_only(self):
        inner = self.tiny_classifier()[0]
        names = {v.name for v in decay.kernels(inner)}
        others = {v.name for v in inner.trainable_variables} - names
        self.assertEqual(names, {"kernel"})
        self.assertEqual(others, {"bias", "beta", "gamma"})

    def test_replicas_share_the_penalty(self):
        model = network()
        expected = 0.25 * decay.penalty(model)
        for replicas in (1, 4):
            share = decay.loss(model, 0.25, replicas)
            self.assertAllClose(replicas * share, expected, rtol=1e-6)
        self.assertEqual(decay.loss(model, 0.0, 1), 0.0)

    def test_the_decay_of_an_optimizer_is_for_kernels_only(self):
        inner = network()
        model = keras_sat.SATModel(inner, ATTACK, ATTACK)
        # Nothing else moves the weights.
        model.compile(keras.optimizers.AdamW(1e-12, weight_decay=1e9))
        before = {v.path: v.numpy() for v in inner.trainable_variables}
        model.fit(*data(), verbose=0)
        for v in inner.trainable_variables:
            factor = 1 - 1e-3 if v.name == "kernel" else 1
            self.assertAllClose(
                v.numpy(), factor * before[v.path], rtol=1e-6, atol=1e-9
            )

"""Fused activations: equal to the plain ones, and used where they should be."""

from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat import activations
from keras_sat.activations import fusion
from keras_sat.distribution import xla
from tests.activations.every import EVERY
from tests.activations.every import activation
from tests.activations.every import derivatives
from tests.test_case import PASS
from tests.test_case import ROUNDING
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

# TensorFlow has fast kernels for the others.
FUSED = sorted(set(EVERY) - {"relu", "elu", "ELU(2.5)"})


def kernels(graph):
    """Returns how often a graph, or a function in it, calls XLA."""
    compiled = {
        f.signature.name
        for f in graph.as_graph_def().library.function
        if f.attr["_XlaMustCompile"].b
    }
    return sum(
        node.op.endswith("PartitionedCall")
        and node.attr["f"].func.name in compiled
        for node in xla.nodes(graph)
    )


def graph_of(function, *shape, dtype=tf.float32):
    """Returns the graph that a function has for tensors of a shape."""
    made = tf.function(function, autograph=False)
    return made.get_concrete_function(tf.TensorSpec(shape, dtype)).graph


class EqualTest(TestCase):
    @parameterized.parameters(*FUSED)
    def test_values_and_two_derivatives_are_those_of_double_precision(
        self, name
    ):
        self.check(name, "float32")

    @parameterized.product(name=FUSED, dtype=["bfloat16", "float16", "float64"])
    @pytest.mark.large
    def test_other_dtypes_are_as_exact(self, name, dtype):
        self.check(name, dtype)

    def check(self, name, dtype):
        """Compares a function in a graph with one in float64."""
        x = np.concatenate([np.linspace(-9, 9, 91), [-1e4, -90, 90, 1e4]])
        x, function = tf.cast(x, dtype), activation(name)
        made = tf.function(lambda x: derivatives(function, x), autograph=False)
        self.assertGreater(kernels(made.get_concrete_function(x).graph), 1)
        exact = derivatives(function, tf.cast(x, "float64"))
        computed = "float64" if dtype == "float64" else "float32"
        # What cancels is as large as `x`, and the second derivative of gelu
        # has factors of up to 100.
        sizes = np.maximum(np.abs(tf.cast(x, "float64")), 1)
        for order, found in enumerate(made(x)):
            self.assertEqual(found.dtype, dtype)
            slack = 10 * 5**order * ROUNDING[computed] * sizes
            slack += 2 * ROUNDING[dtype] * np.abs(exact[order])
            difference = np.abs(tf.cast(found, "float64") - exact[order])
            self.assertAllLessEqual(difference - slack, 1e-30)

    @parameterized.product(
        name=["silu", "smoothrelu"], shape=[(), (3,), (0, 4), (2, 3, 4, 5)]
    )
    def test_any_shape(self, name, shape):
        x = np.random.default_rng(0).normal(size=shape).astype("float32")
        made = tf.function(activation(name), autograph=False)
        self.assertEqual(made(x).shape, shape)
        self.assertAllClose(made(x), activation(name)(x), rtol=1e-6, atol=1e-6)

    def test_alpha_is_learned_alike(self):
        x = np.random.default_rng(0).normal(size=(50, 8)).astype("float32")
        layer = activations.SmoothReLU(7.0)

        def slope(x):
            with tf.GradientTape() as tape:
                y = tf.reduce_sum(layer(x) * tf.range(8.0))
            return tape.gradient(y, layer.root)

        found = tf.function(slope, autograph=False)(x)
        # 400 terms are added.
        self.assertAllClose(found, slope(x), rtol=400 * ROUNDING["float32"])
        self.assertGreater(abs(found), 1)


class PlaceTest(TestCase):
    def value_and_gradient(self, x):
        """Returns SiLU and its derivative."""
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = activations.silu(x)
        return y, tape.gradient(y, x)

    def test_one_kernel_each_way_and_only_the_input_is_kept(self):
        graph = graph_of(self.value_and_gradient, 4, 8)
        self.assertEqual(kernels(graph), 2)
        calls = [n for n in graph.get_operations() if "Call" in n.type]
        for call in calls:
            self.assertLen(call.outputs, 1)
            self.assertLessEqual(len(call.inputs), 2)

    def test_batches_of_any_size_have_plain_operations(self):
        self.assertEqual(kernels(graph_of(self.value_and_gradient, None, 8)), 0)

    def test_batches_of_few_sizes_are_compiled(self):
        with fusion.batches_of_few_sizes():
            graph = graph_of(self.value_and_gradient, None, 8)
        self.assertEqual(kernels(graph), 2)
        self.assertEqual(kernels(graph_of(self.value_and_gradient, None, 8)), 0)

    def test_other_layers_stay_as_they_are(self):
        x = keras.Input((8,))
        network = keras.Model(x, activations.silu(x))
        self.assertEqual(network(np.zeros((2, 8))).shape, (2, 8))
        self.assertEqual(
            keras.Model.from_config(network.get_config()).count_params(), 0
        )

    def test_an_attack_does_not_compute_what_only_training_needs(self):
        layer = activations.SmoothReLU()

        def gradients(x, of_weights):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x)
            return tape.gradient(y, [x, layer.root] if of_weights else x)

        count = {}
        for of_weights in (False, True):
            made = tf.function(
                lambda x, w=of_weights: gradients(x, w), autograph=False
            ).get_concrete_function(tf.TensorSpec((4, 8)))
            used = tf.compat.v1.graph_util.extract_sub_graph(
                made.graph.as_graph_def(),
                [tensor.op.name for tensor in made.outputs],
            )
            count[of_weights] = sum("Call" in n.op for n in used.node)
        self.assertLess(count[False], count[True])


class TrainingTest(TestCase):
    def network(self):
        """Returns a small network, the same at each call."""
        keras.utils.set_random_seed(0)
        return keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                keras.layers.Conv2D(4, 3),
                activations.layer("silu"),
                keras.layers.Conv2D(4, 3),
                activations.layer("smoothrelu"),
                keras.layers.Flatten(),
                keras.layers.Dense(3),
            ]
        )

    def trained(self):
        """Returns what two epochs of training make of the weights."""
        generator = np.random.default_rng(0)
        images = generator.uniform(size=(20, 6, 6, 3)).astype("float32")
        attack = keras_sat.PGD(steps=2, random_start=False)
        model = keras_sat.SATModel(self.network(), attack=attack)
        model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
        # The last batch is a smaller one.
        model.fit(images, np.arange(20) % 3, batch_size=8, epochs=2, verbose=0)
        found = model.evaluate(images, np.arange(20) % 3, verbose=0)
        return model.get_weights(), found

    def test_a_training_is_the_same_without_them(self):
        with mock.patch.object(
            fusion, "_is_worth_it", wraps=fusion._is_worth_it
        ) as asked:
            found = self.trained()
        self.assertGreater(asked.call_count, 10)
        with mock.patch.object(fusion, "_is_worth_it", return_value=False):
            expected = self.trained()
        moved = found[0][0] - self.network().get_weights()[0]
        self.assertGreater(np.abs(moved).max(), 1e-2)
        # Six steps of three passes each.
        self.assert_same_up_to_rounding(found, expected, roundings=18 * PASS)

    def test_exported_files_do_without_them(self):
        network = self.network()
        folder = f"{self.get_temp_dir()}/exported"
        keras_sat.export.saved_model(network, folder)
        loaded = tf.saved_model.load(folder)
        graph = loaded.signatures["serving_default"].graph
        self.assertEqual(kernels(graph), 0)

"""Tests of dtypes and normalizations in converted models."""

import keras
import pytest
from absl.testing import parameterized

from keras_sat import convert_activations
from tests.models.networks import Normalized
from tests.models.networks import images
from tests.models.networks import in_policy
from tests.models.networks import quantized
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

layers = keras.layers


class PolicyTest(TestCase):
    @parameterized.product(
        policy=("float16", "mixed_float16", "float64"),
        activation=("silu", "smoothrelu"),
    )
    def test_what_is_replaced_keeps_its_dtypes(self, policy, activation):
        model = in_policy(policy)()
        options = {"smooth_gates": True, "remove_softmax": True}
        new = convert_activations(model, activation, **options)
        policies = {
            layer.dtype_policy.name
            for layer in new._flatten_layers()
            if not isinstance(layer, layers.InputLayer)
        }
        self.assertEqual(policies, {policy})
        self.assertEqual(new.output.dtype, model.output.dtype)
        expected = keras.DTypePolicy(policy)
        self.assertEqual(
            {weight.dtype for weight in new.weights}, {expected.variable_dtype}
        )
        for operation in new.operations[1:]:
            for tensor in keras.tree.flatten(operation.output):
                self.assertEqual(tensor.dtype, expected.compute_dtype)

    @pytest.mark.large
    def test_a_quantized_network_gets_activations_of_its_own_policy(self):
        new = convert_activations(quantized(), "smoothrelu")
        policies = [layer.dtype_policy.name for layer in new.layers[1:]]
        quantum = "int8_from_float32"
        self.assertEqual(policies, [quantum, "float32", quantum])


class MomentumTest(TestCase):
    def build(self):
        inputs = keras.Input((8, 8, 3))
        x = layers.BatchNormalization(momentum=0.97)(inputs)
        x = Normalized(name="normalized")(x)
        x = layers.TimeDistributed(layers.BatchNormalization())(x)
        x = keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                layers.BatchNormalization(),
                layers.Conv2D(4, 3, activation="relu"),
            ]
        )(x)
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, layers.Dense(3)(x))

    def momenta(self, model):
        kind = keras.layers.BatchNormalization
        parts = model._flatten_layers()
        return [part.momentum for part in parts if isinstance(part, kind)]

    def test_each_batch_normalization_gets_the_momentum(self):
        model, lines = self.build(), []
        new = convert_activations(
            model, momentum=0.9, share_weights=True, print_fn=lines.append
        )
        self.assertEqual(self.momenta(new), [0.9] * 4)
        self.assertEqual(sorted(self.momenta(model)), [0.97, 0.99, 0.99, 0.99])
        self.assertEqual(lines[-1], "momentum 0.9 in 4 normalizations")
        self.assertEqual(
            {id(weight) for weight in new.weights},
            {id(weight) for weight in model.weights},
        )
        path = f"{self.get_temp_dir()}/momentum.keras"
        new.save(path)
        loaded = keras.saving.load_model(path)
        self.assertEqual(self.momenta(loaded), [0.9] * 4)
        self.assertAllEqual(loaded(images()), new(images()))

    def test_the_moving_statistics_follow_it(self):
        model = self.build()
        old = convert_activations(model)
        self.assertEqual(self.momenta(old), self.momenta(model))
        new = convert_activations(model, momentum=0.0)
        x = images(number=8)
        new(x, training=True)
        mean = new.layers[1].moving_mean
        self.assertAllClose(mean, x.mean((0, 1, 2)), rtol=0, atol=1e-6)

    @parameterized.parameters(-0.1, 1.1, "high")
    def test_other_momenta_are_refused(self, momentum):
        with self.assertRaisesRegex(
            (TypeError, ValueError), "`momentum` must .*Received"
        ):
            convert_activations(self.build(), momentum=momentum)

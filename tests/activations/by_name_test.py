"""Tests of the names of activations."""

import keras
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat import activations
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


class GetTest(TestCase):
    def test_swish_is_silu(self):
        self.assertIs(activations.get("swish"), activations.get("silu"))

    def test_gives_callables_back(self):
        layer = activations.CELU(2.0)
        self.assertIs(activations.get(layer), layer)
        self.assertIs(activations.get(tf.nn.tanh), tf.nn.tanh)

    def test_takes_a_configuration(self):
        config = keras.saving.serialize_keras_object(activations.CELU(2.0))
        self.assertEqual(activations.get(config).alpha, 2.0)

    def test_lists_the_names_for_an_unknown_one(self):
        with self.assertRaisesRegex(
            ValueError,
            r"`activation` must be one of \['celu', .*'swish'\]. "
            "Received: activation='swisch'",
        ):
            activations.get("swisch")

    @parameterized.parameters(3, None, int)
    def test_refuses_what_is_no_activation(self, identifier):
        with self.assertRaisesRegex(
            TypeError, "`activation` must be one of .* Received: activation="
        ):
            activations.get(identifier)

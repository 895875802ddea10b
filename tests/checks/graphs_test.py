"""Tests of what counts as a graph of layers."""

import keras

import keras_sat
from keras_sat.checks import graphs
from tests.checks.networks import SHAPE
from tests.checks.networks import dense
from tests.checks.networks import network
from tests.checks.networks import subclassed
from tests.test_case import TestCase


class GraphsTest(TestCase):
    def test_a_call_of_its_own_makes_a_model_no_graph(self):
        class Named(keras.Model):
            """A functional model, without a `call` of its own."""

        class Doubled(keras.Sequential):
            def call(self, x):
                return 2 * super().call(x)

        functional = network(dense())
        named = Named(functional.inputs, functional.outputs)
        for model in (functional, named, keras.Sequential([dense()])):
            self.assertTrue(graphs.is_graph(model))
        for model in (Doubled([dense()]), subclassed(), dense(), print):
            self.assertFalse(graphs.is_graph(model))

    def test_operations_are_parts_of_a_functional_model(self):
        inputs = keras.Input(SHAPE)
        model = keras.Model(inputs, keras.ops.relu(inputs))
        kinds = [type(part).__name__ for part in graphs.parts(model)]
        self.assertEqual(kinds, ["InputLayer", "Relu"])

    def test_the_network_of_a_sat_model_is_the_one_inside(self):
        inner = network(dense())
        self.assertIs(graphs.network_of(keras_sat.SATModel(inner)), inner)
        self.assertIs(graphs.network_of(inner), inner)

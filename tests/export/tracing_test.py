"""Tests of the graphs that servers run."""

import os
import pathlib

import keras
import tensorflow as tf
from absl.testing import parameterized
from tensorflow.core.protobuf import saved_model_pb2

import keras_sat
from tests.export.exported import ExportTest


def graphs(path):
    """Returns the operations of a SavedModel, and attributes of functions."""
    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString((pathlib.Path(path) / "saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0].graph_def
    nodes = list(graph.node)
    for function in graph.library.function:
        nodes += function.node_def
    return {n.op for n in nodes}, [f.attr for f in graph.library.function]


class TracingTest(ExportTest):
    @parameterized.parameters(2, 6)
    def test_the_graph_has_no_python_and_no_xla(self, groups):
        inputs = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(6, 3)(inputs)
        x = keras.layers.Conv2D(
            12, 3, strides=2, padding="same", groups=groups, activation="relu"
        )(x)
        x = keras.layers.GlobalAveragePooling2D()(x)
        model = keras.Model(inputs, keras.layers.Dense(5)(x))
        for weight in model.weights:
            weight.assign_add(0.1 * tf.ones_like(weight))  # Also the biases.
        before = model(self.images)
        loaded = self.export(model)
        answer = loaded["serving_default"](images=self.images)
        self.assert_close(answer["logits"], before)
        self.assert_close(model(self.images), before)
        operations, attributes = graphs(self.path)
        self.assertIn("Conv2D", operations)
        foreign = [o for o in operations if "Py" in o or "Xla" in o]
        self.assertEqual(foreign, [])
        self.assertFalse(any(a["_XlaMustCompile"].b for a in attributes))

    def test_the_package_writes_grouped_convolutions_without_xla(self):
        model = keras_sat.models.residual_network(
            repeats=(1,),
            filters=(16,),
            cardinality=4,
            activation="silu",
            num_classes=5,
            input_shape=(8, 8, 3),
            stem="small",
        )
        loaded = self.export(model)
        answer = loaded["serving_default"](images=self.images)
        self.assert_close(answer["logits"], model(self.images))
        answer = loaded["serving_default"](images=self.images[:0])
        self.assertEqual(answer["logits"].shape, (0, 5))
        operations, attributes = graphs(self.path)
        self.assertFalse(any("Xla" in o for o in operations))
        self.assertFalse(any(a["_XlaMustCompile"].b for a in attributes))

    def test_a_model_that_calls_python_is_refused(self):
        class Python(keras.layers.Layer):
            def call(self, x):
                y = tf.numpy_function(lambda x: x, [x], tf.float32)
                return tf.ensure_shape(y, x.shape)

        inputs = keras.Input((8, 8, 3))
        x = keras.layers.Flatten()(Python()(inputs))
        model = keras.Model(inputs, keras.layers.Dense(5)(x))
        with self.assertRaisesRegex(ValueError, "`model` must.*PyFunc"):
            self.export(model)
        self.assertEqual(os.listdir(self.folder), [])

"""Networks with activations in every possible place."""

import contextlib
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_sat import activation_sites
from keras_sat.models import activation_places

layers = keras.layers


@contextlib.contextmanager
def channels_first():
    """Lets Keras expect the channels of images first."""
    keras.config.set_image_data_format("channels_first")
    try:
        yield
    finally:
        keras.config.set_image_data_format("channels_last")


def images(size=8, number=2):
    generator = np.random.default_rng(0)
    return generator.uniform(0, 1, (number, size, size, 3)).astype("float32")


def mixed():
    """Builds a nested, branching network with a shared layer and operations."""
    inner = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="conv"),
            layers.LeakyReLU(name="leaky"),
        ],
        name="inner",
    )
    shared = layers.Conv2D(
        4, 3, padding="same", activation="relu6", name="shared"
    )
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 1, name="first")(inputs)
    x = shared(shared(keras.ops.relu(x)))
    x = layers.Add()([inner(x), keras.activations.relu(x)])
    gate = layers.Dense(4, activation="hard_sigmoid", name="gate")(x)
    x = layers.SeparableConv2D(4, 3, activation="silu", name="smooth")(x * gate)
    x = layers.PReLU(shared_axes=[1, 2], name="prelu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Activation("hard_swish", name="hard")(x)
    outputs = layers.Dense(10, activation="softmax", name="head")(x)
    return keras.Model(inputs, outputs)


MIXED = {
    "shared": "relu6",
    "inner/conv": "relu",
    "inner/leaky": "leaky_relu",
    "prelu": "prelu",
    "hard": "hard_silu",
}


def hard(x):
    return layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)


def mobile():
    """Builds hard swishes and gates of several operations, like MobileNetV3."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.Multiply(name="layer")([x, hard(x)])
    x = layers.Conv2D(4, 3, name="conv2")(x)
    x = hard(x) * x
    gate = hard(layers.Conv2D(4, 1, name="gate")(x))
    x = layers.Multiply(name="gated")([x, gate])
    return keras.Model(inputs, layers.Flatten()(x))


@keras.saving.register_keras_serializable("tests")
class Block(layers.Layer):
    """A layer with activations inside; they are not in its configuration."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(4, 3, activation="relu", name="conv")
        self.act = layers.ReLU()
        self.second = layers.Conv2D(4, 1)
        self.final = keras.activations.get("relu")

    def call(self, x):
        return self.final(self.second(self.act(self.conv(x) - 0.1)))


def with_block():
    inputs = keras.Input((8, 8, 3))
    x = Block(name="block")(inputs)
    return keras.Model(inputs, layers.Flatten()(x))


def wrapped():
    """Builds a network with layers that contain other layers."""
    inputs = keras.Input((8, 8, 3))
    x = layers.TimeDistributed(layers.Dense(4, activation="relu"))(inputs)
    x = layers.TimeDistributed(layers.ReLU())(x)
    x = layers.SpectralNormalization(layers.Conv2D(4, 3, activation="relu"))(x)
    x = layers.Reshape((36, 4))(x)
    x = layers.Bidirectional(layers.SimpleRNN(3, activation="relu"))(x)
    return keras.Model(inputs, layers.Dense(5)(x))


def in_policy(policy):
    """Returns a builder with every kind of activation in a dtype policy."""

    def build():
        same = {"dtype": policy}
        dtype = keras.DTypePolicy(policy).compute_dtype
        inputs = keras.Input((8, 8, 3))
        x = layers.Conv2D(4, 3, activation="relu", **same)(inputs)
        x = keras.ops.relu(layers.Conv2D(4, 1, **same)(x))
        x = layers.LeakyReLU(**same)(x)
        x = layers.PReLU(shared_axes=[1, 2], **same)(x)
        x = keras.ops.hard_sigmoid(x)
        x = layers.Activation("hard_sigmoid", **same)(x)
        dense = layers.Dense(3, activation="relu", **same)
        x = layers.TimeDistributed(dense, **same)(x)
        x = layers.GlobalAveragePooling2D(**same)(x)
        x = layers.Dense(5, **same)(x)
        model = keras.Model(inputs, layers.Softmax(**same)(x))
        model.dtype_policy = policy
        assert model.output.dtype == dtype
        return model

    return build


def quantized():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Flatten(),
            layers.Dense(4, activation="relu"),
            layers.Dense(5),
        ]
    )
    with warnings.catch_warnings(action="ignore"):
        model.quantize("int8")
    return model


@keras.saving.register_keras_serializable("tests")
class Normalized(layers.Layer):
    """A layer with a normalization that is not in its configuration."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.normalization = layers.BatchNormalization()

    def call(self, x, training=None):
        return self.normalization(x, training=training)


def relus(model):
    """Lists the non-smooth activations in the graph that TensorFlow runs."""
    shape = model.inputs[0].shape[1:]
    shape = [size or 32 for size in shape]
    function = tf.function(lambda x: model(x, training=False))
    spec = tf.TensorSpec((1, *shape))
    graph = function.get_concrete_function(spec).graph.as_graph_def()
    nodes = list(graph.node)
    for part in graph.library.function:
        nodes += part.node_def
    kinds = {"Relu", "Relu6", "LeakyRelu", "Selu"}
    return [node.op for node in nodes if node.op in kinds]


def sites_of(model, names=activation_places.NON_SMOOTH):
    """Lists the places of a model with one of some activations."""
    return [site for site in activation_sites(model) if site[1] in names]


def outputs_of(model, names):
    """Returns what layers of a model for small images compute."""
    features = keras.Model(
        model.input, [model.get_layer(name).output for name in names]
    )
    return features(images(size=32))

"""Classifiers to attack, and measurements, for the tests of attacks."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks import convex_network
from keras_sat.attacks import APGD
from keras_sat.attacks import FAB
from keras_sat.attacks import AutoAttack
from keras_sat.attacks import Square
from tests.test_case import TestCase


class Linear:
    """A linear classifier with images that it classifies right.

    The images lie in `[0.3, 0.7]`: perturbations up to 0.3 meet no border.

    Args:
        num_classes: int.
        shape: tuple. Shape of an image.
        batch: int. Number of images.
        value_range: pair of floats. What black and white are.
        scale: float. What the logits are multiplied by.
        smooth: bool. Whether the weights of nearby pixels are similar.
    """

    def __init__(
        self,
        num_classes=2,
        shape=(4, 4, 1),
        batch=40,
        value_range=(0.0, 1.0),
        scale=1.0,
        smooth=False,
    ):
        generator = np.random.default_rng(num_classes)
        size = int(np.prod(shape))
        self.weights = generator.normal(size=(size, num_classes))
        if smooth:
            self.weights = self._blurred(shape)
        # The logits of a grey image are equal, so that all classes occur.
        self.bias = -0.5 * self.weights.sum(0)
        low, high = value_range
        dense = keras.layers.Dense(num_classes)
        inputs = keras.Input(shape)
        x = keras.layers.Rescaling(1 / (high - low), -low / (high - low))(
            inputs
        )
        logits = dense(keras.layers.Flatten()(x))
        self.model = keras.Model(inputs, logits)
        dense.set_weights([scale * self.weights, scale * self.bias])
        x = generator.uniform(0.3, 0.7, (batch, *shape))
        self.images = (low + (high - low) * x).astype("float32")
        logits = x.reshape(batch, -1) @ self.weights + self.bias
        self.labels = logits.argmax(1).astype("int32")
        self.logits = logits

    def _blurred(self, shape):
        """Returns the weights, averaged over a neighbourhood of each pixel."""
        weights = self.weights.reshape(*shape, -1)
        shifts = range(-3, 4)
        blurred = sum(
            np.exp(-(i**2 + j**2) / 4) * np.roll(weights, (i, j), (0, 1))
            for i in shifts
            for j in shifts
        )
        return blurred.reshape(self.weights.shape)

    def distances(self, norm):
        """Returns the smallest perturbations, by the closed form."""
        rows = np.arange(len(self.labels))
        lead = self.logits[rows, self.labels][:, None] - self.logits
        gradient = self.weights[:, self.labels].T[:, :, None] - self.weights
        dual = np.linalg.norm(gradient, 1 if norm == "linf" else 2, axis=1)
        dual[rows, self.labels] = 1
        lead[rows, self.labels] = np.inf
        return np.min(lead / dual, axis=1)

    def epsilons(self, norm):
        """Returns three radii, far from the distance of any image."""
        distances = np.sort(self.distances(norm))
        gaps = np.diff(distances)
        thirds = np.array_split(np.arange(len(gaps)), 3)
        widest = [third[np.argmax(gaps[third])] for third in thirds]
        return [float(distances[i] + gaps[i] / 2) for i in widest]

    def broken(self, adversarial):
        """Returns which images are misclassified, as an array."""
        return np.argmax(self.model(adversarial), axis=1) != self.labels


def network():
    """Returns a network whose classes are near to each other, and images.

    Returns:
        As `TestCase.tiny_classifier`.
    """
    keras.utils.set_random_seed(0)
    model, images, _ = TestCase().tiny_classifier()
    kernel, bias = model.layers[-1].get_weights()
    centred = bias - np.mean(model(images), axis=0)
    model.layers[-1].set_weights([kernel, centred])
    return model, images, np.argmax(model(images), axis=1).astype("int32")


def one_by_one(model):
    """Returns the same classifier, which sees each image alone.

    In batches of another size it would add in another order, and a sign of a
    gradient next to 0 would be another one.
    """

    def predict(images):
        return tf.map_fn(
            lambda image: model(image[tf.newaxis], training=False)[0], images
        )

    return predict


def fashion_network():
    """Returns a public robust network with many dead units, and 32 images.

    See `tests/fixtures/fashion_mnist_convex.md`.

    Returns:
        `keras.Model`, images `(32, 28, 28, 1)` in `[0, 1]`, int labels, and
        whether each image withstands the authors' FAB-T at L2 1.5.
    """
    model = convex_network.build()
    with np.load(convex_network.PATH) as file:
        arrays = dict(file)
    images = arrays["images"].astype("float32") / 255
    np.testing.assert_allclose(model(images), arrays["logits"], atol=1e-4)
    return model, images, arrays["labels"], arrays["withstood"]


def robust_accuracy(model, images, labels):
    """Returns the share of the images that are classified right."""
    return np.mean(np.argmax(model(images), axis=1) == labels)


class Counter:
    """A model that counts how often it is called, or traced.

    Args:
        model: function from images to logits.
    """

    def __init__(self, model):
        self.model = model
        self.calls = 0
        self.sizes = []

    def __call__(self, images):
        self.calls += 1
        self.sizes.append(images.shape[0])
        return self.model(images)


def operations(attack, model, images, labels):
    """Returns the number of operations that the traced attack consists of."""
    graph = tf.function(
        lambda x, y: attack(model, x, y, (1, 2)), autograph=False
    ).get_concrete_function(images, labels)
    definition = graph.graph.as_graph_def()
    functions = definition.library.function
    return len(definition.node) + sum(len(f.node_def) for f in functions)


def shapes(attack, model, images, labels):
    """Yields the shapes of all tensors of the traced attack."""
    graph = tf.function(
        lambda x, y: attack(model, x, y, (1, 2)), autograph=False
    ).get_concrete_function(images, labels)
    definition = graph.graph.as_graph_def(add_shapes=True)
    nodes = list(definition.node)
    for function in definition.library.function:
        nodes.extend(function.node_def)
    for node in nodes:
        for shape in node.attr["_output_shapes"].list.shape:
            yield tuple(dimension.size for dimension in shape.dim)


def without_gradient(model):
    """Returns functions from images to logits that have no gradient.

    Args:
        model: function from images to logits.
    """

    def quantised(images):
        # Of which TensorFlow does not know a gradient at all.
        numbers = tf.quantization.quantize(images, 0.0, 1.0, tf.qint8)
        return model(tf.quantization.dequantize(*numbers))

    return {
        "rounded": lambda x: model(tf.round(16 * x) / 16),
        "floored": lambda x: model(tf.floor(16 * x) / 16),
        "stopped": lambda x: tf.stop_gradient(model(x)),
        "classes": lambda x: 2 * tf.one_hot(tf.argmax(model(x), -1), 5),
        "quantised": quantised,
        "compiled": tf.function(quantised, autograph=False),
    }


def dark_or_bright(images):
    """Returns logits of class 0 for dark images, of class 1 for bright ones."""
    x = tf.reduce_mean(images, 1)
    return tf.stack([0.5 - x, x - 0.5], 1)


def short_ensemble(**arguments):
    """Returns an `AutoAttack` that takes less time than the standard one."""
    attacks = APGD(steps=10), FAB(steps=10), Square(queries=50)
    return AutoAttack(attacks=attacks, **arguments)

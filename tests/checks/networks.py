"""Small networks and images for the tests of checks."""

import keras
import numpy as np

import keras_sat

layers = keras.layers

SHAPE = (4, 4, 3)

PGD = keras_sat.PGD(steps=1)


def batch(size=4):
    generator = np.random.default_rng(0)
    images = generator.uniform(0, 1, (size, *SHAPE)).astype("float32")
    return images, np.arange(size) % 5


def network(end, **options):
    """Builds a network of flattened images with a given end."""
    inputs = keras.Input(SHAPE, **options)
    return keras.Model(inputs, end(layers.Flatten()(inputs)))


def dense(activation=None, units=5, **options):
    return layers.Dense(units, activation=activation, **options)


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """A network without a graph, so that Keras does not know its shapes."""

    def __init__(self, activation=None, units=5, **kwargs):
        super().__init__(**kwargs)
        self.activation, self.units = activation, units
        self.scale = layers.Rescaling(2.0)
        self.flatten = layers.Flatten()
        self.logits = dense(activation, units)

    def call(self, images):
        return self.logits(self.flatten(self.scale(images)))

    def get_config(self):
        arguments = {"activation": self.activation, "units": self.units}
        return {**super().get_config(), **arguments}


def subclassed(*args):
    model = Subclassed(*args)
    model(batch()[0])
    return model

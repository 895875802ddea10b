"""A layer that contains others, with other activations inside."""

import keras

from keras_sat import activations
from keras_sat.models import activation_places

register = keras.saving.register_keras_serializable("keras_sat")


@register
class WithActivations(keras.layers.Layer):
    """A layer whose inner activations are replaced by others.

    Args:
        layer: `keras.layers.Layer` that contains activations.
        activation: see `keras_sat.activations.get`. Each site in `layer` gets
            one of its own.
        names: sequence of str. The activations to replace. Hard sigmoids are
            replaced by sigmoids.
        momentum: float in `[0, 1]`. That of each batch normalization in
            `layer`. Defaults to their own.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def __init__(self, layer, activation, names, momentum=None, **kwargs):
        kwargs.setdefault("dtype", layer.dtype_policy)
        super().__init__(**kwargs)
        self.layer = layer
        activation = activations.get(activation)
        if isinstance(activation, keras.layers.Layer):
            # As an attribute, it would be saved as a part of this one.
            activation = keras.saving.serialize_keras_object(activation)
        # Private, since it is not a site.
        self._activation = activation
        self.names = tuple(names)
        self.momentum = momentum

    def build(self, input_shape):
        if not self.layer.built:
            # Not every layer has a method `build`.
            self.layer(keras.tree.map_shape_structure(_symbol, input_shape))
        # Not by setattr, which would track these variables a second time.
        vars(self)["original_weights"] = self.layer.weights
        for owner, attribute in list(activation_places.inner_sites(self.layer)):
            name = activation_places.name_of(getattr(owner, attribute))
            if name in self.names:
                self._replace(owner, attribute, name)
        for inner in self.layer._flatten_layers():
            if self.momentum is not None and isinstance(
                inner, keras.layers.BatchNormalization
            ):
                inner.momentum = self.momentum

    def _replace(self, owner, attribute, name):
        dtype = activation_places.policy(owner)
        if name == "hard_sigmoid":
            new = keras.layers.Activation("sigmoid", dtype=dtype)
        else:
            new = activations.layer(self._activation, dtype=dtype)
        owner._tracker.unlock()
        if isinstance(getattr(owner, attribute), keras.layers.Layer):
            delattr(owner, attribute)
        setattr(owner, attribute, new)
        owner._tracker.lock()

    def call(self, inputs, *args, **kwargs):
        """The outputs of the inner layer."""
        return self.layer(inputs, *args, **kwargs)

    def get_config(self):
        save = keras.saving.serialize_keras_object
        # The inner layer is built with this one.
        layer = save(self.layer)
        layer.pop("build_config", None)
        return {
            **super().get_config(),
            "layer": layer,
            "activation": save(activations.get(self._activation)),
            "names": list(self.names),
            "momentum": self.momentum,
        }

    @classmethod
    def from_config(cls, config):
        """The layer that `get_config` described, with new weights."""
        load = keras.saving.deserialize_keras_object
        parts = {name: load(config[name]) for name in ("layer", "activation")}
        return cls(**{**config, **parts})


@register
def six_sigmoids(x):
    """`6 * sigmoid(x - 3)`, what ReLU6 is inside of a hard sigmoid."""
    return 6.0 * keras.ops.sigmoid(x - 3.0)


def _symbol(shape):
    return keras.KerasTensor(shape)

"""A wrapper that replaces the activations inside a layer."""

import keras

from keras_sat import activations
from keras_sat.models import activation_places

register = keras.saving.register_keras_serializable("keras_sat")


@register
class WithActivations(keras.layers.Layer):
    """A wrapper of a layer, which replaces the activations inside it.

    The configuration of a composite layer does not tell its activations, so
    they are replaced after it is made, and again when it is loaded.

    Args:
        layer: `keras.layers.Layer` that contains activations.
        activation: see `keras_sat.activations.get`. Each place in `layer` gets
            an activation of its own.
        names: sequence of str. The activations to replace. Hard sigmoids are
            replaced by sigmoids.
        momentum: float in `[0, 1]`. The new momentum of each batch
            normalization in `layer`. Defaults to the one that it has.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def __init__(self, layer, activation, names, momentum=None, **kwargs):
        kwargs.setdefault("dtype", layer.dtype_policy)
        super().__init__(**kwargs)
        self.layer = layer
        activation = activations.get(activation)
        if isinstance(activation, keras.layers.Layer):
            # A layer as an attribute would be saved as a part of this layer.
            activation = keras.saving.serialize_keras_object(activation)
        # Private, so that `activation_sites` does not list it.
        self._activation = activation
        self.names = tuple(names)
        self.momentum = momentum

    def build(self, input_shape):
        if not self.layer.built:
            # Not every layer has a method `build`.
            self.layer(keras.tree.map_shape_structure(_symbol, input_shape))
        # Keras's `setattr` would track these variables a second time. They are
        # the ones that the original has, without those of new activations.
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
        """Replaces the activation that a layer keeps in an attribute."""
        dtype = activation_places.policy(owner)
        if name == "hard_sigmoid":
            new = keras.layers.Activation("sigmoid", dtype=dtype)
        else:
            new = activations.layer(self._activation, dtype=dtype)
        # A built layer refuses new attributes that Keras would track.
        owner._tracker.unlock()
        if isinstance(getattr(owner, attribute), keras.layers.Layer):
            delattr(owner, attribute)
        setattr(owner, attribute, new)
        owner._tracker.lock()

    def call(self, inputs, *args, **kwargs):
        """Returns the outputs of the inner layer."""
        return self.layer(inputs, *args, **kwargs)

    def get_config(self):
        """See `keras.layers.Layer.get_config`."""
        save = keras.saving.serialize_keras_object
        # The inner layer is built by `build`, before activations are replaced.
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
        """Makes the layer that `get_config` described, with new weights."""
        load = keras.saving.deserialize_keras_object
        parts = {name: load(config[name]) for name in ("layer", "activation")}
        return cls(**{**config, **parts})


@register
def six_sigmoids(x):
    """Computes `6 * sigmoid(x - 3)`.

    In place of the ReLU6 it makes `relu6(x + 3) / 6` a sigmoid.
    """
    return 6.0 * keras.ops.sigmoid(x - 3.0)


def _symbol(shape):
    return keras.KerasTensor(shape)

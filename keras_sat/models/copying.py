"""Copies of layers and operations, with new weights."""

import keras

from keras_sat.checks import graphs


class RebuildError(Exception):
    """An error that says which layer its configuration cannot rebuild."""


def copy_part(part, changes=None):
    """Returns a layer, operation or model like `part`, with new weights.

    Args:
        part: layer, operation or model.
        changes: dict. Values of its configuration to be replaced. Defaults to
            none.

    Raises:
        RebuildError: If its configuration does not tell how to make it.
    """
    if isinstance(part, keras.layers.Lambda):
        # Its configuration holds the code of the function, without its module.
        return keras.layers.Lambda(
            part.function,
            part._output_shape,
            part.mask,
            part.arguments,
            name=part.name,
        )
    try:
        return type(part).from_config(_config(part) | (changes or {}))
    except (
        AttributeError,
        NotImplementedError,
        OSError,
        TypeError,
        ValueError,
    ) as error:
        # Some layers write other arguments into their configuration than they
        # take. Keras recorded the ones that they were made with.
        recorded = getattr(part, "_auto_config", None)
        if changes or recorded is None:
            kind = f"{part.name} ({type(part).__name__})"
            reason = " ".join(str(error).strip().split("\n\n")[0].split())
            raise RebuildError(f"{kind}: {reason.rstrip('.')}") from error
        return type(part)(**{**recorded.config, "name": part.name})


def _config(part):
    """Returns the configuration of a layer, with its activation unchanged.

    A function need not be one that Keras finds again by its name.
    """
    config = part.get_config()
    activation = getattr(part, "activation", None)
    kinds = (*graphs.ACTIVATION_LAST, keras.layers.Activation)
    keeps_one = isinstance(part, kinds)
    if keeps_one and not isinstance(activation, keras.layers.Layer):
        config["activation"] = activation
    return config


def normalizations(layer):
    """Lists the batch normalizations that a layer is or contains."""
    return [
        part
        for part in layer._flatten_layers()
        if isinstance(part, keras.layers.BatchNormalization)
    ]

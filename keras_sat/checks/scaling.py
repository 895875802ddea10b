"""The layer of a network that scales grey levels from 0 to 255."""

import keras
import numpy as np

from keras_sat.checks.arguments import refuse
from keras_sat.checks.graphs import has_weights
from keras_sat.checks.graphs import is_graph
from keras_sat.checks.graphs import network_of
from keras_sat.checks.graphs import parts

# Layers that divide by less than this do not make 256 levels small numbers.
LARGE_SCALE = 50


def fits_value_range(model, value_range):
    """Refuses a small range for a network that divides pixels by itself.

    Args:
        model: `SATModel`, `keras.Model` or function.
        value_range: pair of floats. The values of black and of white.

    Raises:
        ValueError: If pixels would be scaled twice: to the network, all images
            would be nearly black.
    """
    layer = scaling_layer(model)
    if layer and max(map(abs, value_range)) <= 1:
        refuse(
            "value_range",
            f"be that of the network, whose layer {layer!r} divides pixels",
            tuple(value_range),
            "Give `value_range=(0, 255)`.",
        )


def scaling_layer(model):
    """Returns the name of the layer that makes grey levels small numbers.

    Args:
        model: `SATModel`, `keras.Model` or function.

    Returns:
        str, such as `"rescaling"`: a `Rescaling`, a `Normalization` or a
        division that comes before all layers with weights. `None` if there is
        none.
    """
    model = network_of(model)
    if not isinstance(model, keras.Model):
        return None
    scale = 1.0
    for part in forwards(model):
        factor = _factor(part)
        if factor is None:
            return None
        scale *= factor
        if scale < 1 / LARGE_SCALE:
            return part.name
    return None


def forwards(model):
    """Walks through layers and operations from the input on, into models.

    Args:
        model: `keras.Model`. Of one with code of its own, only layers that
            scale are known.

    Yields:
        Layers and operations.
    """
    if not is_graph(model):
        kinds = keras.layers.Rescaling, keras.layers.Normalization
        inside = model._flatten_layers(include_self=False)
        yield from (layer for layer in inside if isinstance(layer, kinds))
        return
    for part in parts(model):
        if isinstance(part, keras.Model):
            yield from forwards(part)
        else:
            yield part


def _factor(part):
    """Returns what a part multiplies pixels with, at the beginning.

    Returns:
        float. `None` for a layer with weights, behind which there are no pixels
        any more.
    """
    if isinstance(part, keras.layers.Rescaling):
        return float(np.max(np.abs(part.scale)))
    if isinstance(part, keras.layers.Normalization):
        if getattr(part, "variance", None) is None:
            return 1.0
        return 1 / max(float(np.sqrt(np.max(part.variance))), 1e-7)
    kind = type(part).__name__
    if kind in ("TrueDivide", "Divide", "Multiply") and part._inbound_nodes:
        numbers = [
            value
            for value in part._inbound_nodes[0].arguments.args
            if isinstance(value, int | float)
        ]
        if len(numbers) == 1 and numbers[0]:
            size = abs(float(numbers[0]))
            return size if kind == "Multiply" else 1 / size
    return None if has_weights(part) else 1.0

"""The graph of a network: whether there is one, and its parts."""

import keras

# Layers with weights that apply their activation last, to what is computed
# with the weights.
ACTIVATION_LAST = (
    keras.layers.Conv1D.__base__,
    keras.layers.Conv1DTranspose.__base__,
    keras.layers.DepthwiseConv1D.__base__,
    keras.layers.SeparableConv1D.__base__,
    keras.layers.Dense,
    keras.layers.EinsumDense,
)


def network_of(model):
    """Returns the network inside a `SATModel`, and any other model itself."""
    # Not by its class, which is in a package that imports this one.
    if all(hasattr(model, part) for part in ("model", "attack", "objective")):
        return model.model
    return model


def is_graph(model):
    """Tells if a model is a graph of layers, without code of its own.

    Args:
        model: any object.

    Returns:
        bool. `True` for functional and sequential models; `False` for
        subclasses that define `call`.
    """
    if not isinstance(model, keras.Model):
        return False
    if not isinstance(model, keras.Sequential):
        if not hasattr(model, "operations"):
            return False
    definer = next(c for c in type(model).__mro__ if "call" in vars(c))
    return definer.__module__.startswith("keras.src.")


def parts(model):
    """Returns the layers and operations of a functional or sequential model."""
    if isinstance(model, keras.Sequential):
        return model.layers
    return model.operations


def has_weights(part):
    """Tells if a layer or operation has weights."""
    return bool(getattr(part, "weights", None))

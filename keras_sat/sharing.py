"""Two models on one set of weights."""

from keras_sat import checks


def share_weights(model, source):
    """Makes `model` use the variables of `source` instead of its own.

    Both keep their layers, so that the same network can be run with other
    activations. What one of them learns, the other knows.

    Args:
        model: built `keras.Model`. It loses its own weights.
        source: built `keras.Model` with weights of the same shapes in the same
            order.

    Raises:
        ValueError: If the weights differ in number or in a shape.
    """
    _check_same_shapes(model.weights, source.weights)
    new = {
        id(old): shared
        for old, shared in zip(model.weights, source.weights, strict=True)
    }
    for layer in model._flatten_layers():
        for name, value in vars(layer).items():
            if id(value) in new:
                # Not by setattr, which would track a second variable.
                vars(layer)[name] = new[id(value)]
        for tracked in (
            layer._trainable_variables,
            layer._non_trainable_variables,
        ):
            for i, variable in enumerate(tracked):
                list.__setitem__(tracked, i, new.get(id(variable), variable))


def _check_same_shapes(mine, theirs):
    fix = "Build it like `model`, with another activation."
    expected = "have weights of the same shapes as `model`, in the same order"
    for one, two in zip(mine, theirs, strict=False):
        if one.shape != two.shape:
            received = checks.Described(
                f"{one.path} {one.shape} for {two.path} {two.shape}"
            )
            checks.refuse("attack_model", expected, received, fix)
    if len(mine) != len(theirs):
        received = checks.Described(f"{len(mine)} for {len(theirs)} weights")
        checks.refuse("attack_model", expected, received, fix)

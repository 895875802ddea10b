"""Two models on one set of weights."""

from keras_sat import checks


def share_weights(model, source):
    """Makes `model` use the variables of `source` instead of its own.

    Both keep their layers, so that the same network can be run with other
    activations. What one of them learns, the other knows.

    Args:
        model: built `keras.Model`. It loses its own weights.
        source: built `keras.Model` with weights of the same names (layer and
            variable), or of the same shapes in the same order.

    Raises:
        ValueError: If the weights differ in number or in a shape.
    """
    pairs = _by_path(model.weights, source.weights)
    if pairs is None:
        _check_same_shapes(model.weights, source.weights)
        pairs = zip(model.weights, source.weights, strict=True)
    replace_weights(model, pairs)


def replace_weights(layer, pairs):
    """Makes a layer, and all inside of it, use other variables.

    Args:
        layer: built `keras.layers.Layer`.
        pairs: pairs of an old and a new `keras.Variable`.
    """
    new = {id(old): shared for old, shared in pairs}
    for part in layer._flatten_layers():
        for name, value in vars(part).items():
            if id(value) in new:
                # Not by setattr, which would track a second variable.
                vars(part)[name] = new[id(value)]
        for tracked in (
            part._trainable_variables,
            part._non_trainable_variables,
        ):
            for i, variable in enumerate(tracked):
                list.__setitem__(tracked, i, new.get(id(variable), variable))


def _by_path(mine, theirs):
    """Pairs of weights of the same name, if each has one of its shape.

    The order may differ between two models with other layers in between.
    """
    known = {weight.path: weight for weight in theirs}
    paths = {weight.path for weight in mine}
    if len(known) < len(theirs) or len(paths) < len(mine):
        return None
    if len(mine) != len(theirs) or paths != set(known):
        return None
    if any(weight.shape != known[weight.path].shape for weight in mine):
        return None
    return [(weight, known[weight.path]) for weight in mine]


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

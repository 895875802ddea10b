"""Two models that use the same variables as their weights."""

from keras_sat import checks


def share_weights(model, source):
    """Makes `model` use the variables of `source` instead of its own.

    Both keep their layers, so that the same network can be run with other
    activations. When one of them is trained, the other changes with it.

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
    """Makes a layer, and all layers inside of it, use other variables.

    Args:
        layer: built `keras.layers.Layer`.
        pairs: pairs of an old and a new `keras.Variable`.
    """
    new = {id(old): shared for old, shared in pairs}
    for part in layer._flatten_layers():
        for name, value in vars(part).items():
            if id(value) in new:
                # Not by setattr: Keras would track the variable once more.
                vars(part)[name] = new[id(value)]
        for tracked in (
            part._trainable_variables,
            part._non_trainable_variables,
        ):
            # Past the tracker of the list, which is locked in a built layer.
            for i, variable in enumerate(tracked):
                list.__setitem__(tracked, i, new.get(id(variable), variable))


def _by_path(mine, theirs):
    """Returns pairs of weights that have the same name and shape.

    The order of weights may differ between two models, if one of them has other
    layers in between.

    Args:
        mine, theirs: lists of `keras.Variable`.

    Returns:
        List of pairs, or `None` unless each weight has its counterpart.
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
    """Refuses weights that differ in number, or in a shape."""
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

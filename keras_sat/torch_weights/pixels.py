"""The mean and standard deviation of pixels that a file holds."""

import keras
import numpy as np

from keras_sat.models import standardization

# The last parts of the names of these tensors.
MEANS = ("mean", "mu", "new_mean")
STDS = ("std", "sigma", "new_std")
# More numbers than channels of any image.
LARGEST = 16


def split(arrays):
    """Separates the statistics of pixels from the weights.

    Args:
        arrays: dict from names to arrays.

    Returns:
        Two dicts from names to arrays: the statistics, and all others.
    """
    statistics = {
        name: array
        for name, array in arrays.items()
        if name.split(".")[-1] in MEANS + STDS and array.size <= LARGEST
    }
    others = {n: array for n, array in arrays.items() if n not in statistics}
    return statistics, others


def add(match, model, statistics):
    """Adds the statistics of a file to what is assigned to a model.

    Args:
        match: `matching.Match`, to which pairs or problems are added.
        model: `keras.Model`.
        statistics: dict; see `split`.
    """
    found = []
    for kind in (MEANS, STDS):
        named = [
            (name, np.array(array, "float32").reshape(-1))
            for name, array in statistics.items()
            if name.split(".")[-1] in kind
        ]
        # Wrappers may hold the same statistics several times.
        if named and all(np.array_equal(named[0][1], x) for _, x in named):
            found.append(named[0])
    if not statistics:
        return
    if len(found) < 2 or not np.all(found[1][1] > 0):
        match.unfit.append(
            f"{', '.join(statistics)} are not one mean and one standard "
            "deviation"
        )
        return
    layer = _standardization(model)
    if layer is None:
        _compare(match, model, *found)
        return
    pairs = zip((layer.mean, layer.std), found, strict=True)
    for weight, (name, values) in pairs:
        if values.size in (1, weight.shape[0]):
            filled = np.broadcast_to(values, weight.shape)
            match.pairs.append((weight, filled, name))
        else:
            match.unfit.append(f"{name} has {values.size} numbers")


def _standardization(model):
    """Returns the layer that has a place for both, or `None`."""
    for layer in model.layers:
        if isinstance(layer, standardization.Standardization):
            return layer
    return None


def _compare(match, model, mean, std):
    """Adds a problem to `match` if a model does something else with pixels."""
    (name, mean), (_, std) = mean, std
    applied = _applied(model)
    try:
        same = all(
            np.allclose(*pair, rtol=1e-5, atol=1e-6)
            for pair in zip(applied, (mean, std), strict=True)
        )
    except ValueError:
        # Another number of channels.
        same = False
    if not same:
        match.unfit.append(
            f"{name} has no counterpart; build the model with normalization="
            f"({_shown(mean)}, {_shown(std)})"
        )


def _applied(model):
    """Returns the mean and standard deviation that a model begins with."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Rescaling):
            scale, offset = np.asarray(layer.scale), np.asarray(layer.offset)
            return -offset / scale, 1 / scale
        if isinstance(layer, keras.layers.Normalization) and not layer.invert:
            mean, variance = (
                np.ravel(keras.ops.convert_to_numpy(x))
                for x in (layer.mean, layer.variance)
            )
            return mean, np.sqrt(variance)
        if layer.weights:
            break
    return np.zeros(1), np.ones(1)


def _shown(values):
    """Returns the numbers of an array as they are best read."""
    return tuple(float(f"{value:.6g}") for value in values)

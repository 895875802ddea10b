"""Loading of the weights of PyTorch networks into models of Keras."""

import numpy as np

from keras_sat import checks
from keras_sat.torch_weights import families
from keras_sat.torch_weights import matching
from keras_sat.torch_weights import pixels
from keras_sat.torch_weights import reading
from keras_sat.torch_weights import state_dicts

EXPECTED = "hold the weights of a network like `model`"
# How many names of a kind an error lists.
SHOWN = 4
# How many characters of each; a file may have names of any length.
LONGEST = 200


def load_torch_checkpoint(model, path, entry=None):
    """Loads the weights of a file that PyTorch wrote, without PyTorch.

    The model changes only if each of its weights has exactly one counterpart
    in the file, and each tensor of the network in the file is used. The names
    of this package's networks are compared with those of public definitions,
    whatever prefix and dictionaries are around them. Layers of any other
    network are matched in their order, by their kinds and shapes. Activations
    and paddings are not stored in the file, so they cannot be checked: measure
    the accuracy of the model after loading.

    Args:
        model: built `keras.Model`, like the network of the file.
        path: str or path-like. A `.safetensors` file, or a `.pt`, `.pth`,
            `.ckpt` or `.bin` file of `torch.save`. Nothing in it can run.
        entry: str. The place of the weights in the file, such as `"last"`, if
            several of its dictionaries fit and differ. By default, moving
            averages are taken before the weights that they are averages of.

    Returns:
        list of str. The tensors of the file that were ignored, like counters
        of batches and the state of the optimizer.

    Raises:
        ImportError: If safetensors is needed and not installed.
        TypeError: If `path` is not a path, or `model` a `SATModel`.
        ValueError: If the file cannot be read, if it does not hold the weights
            of a network like `model`, if they are not finite, or if several
            of its dictionaries do and differ.

    Example:

    ```python
    model = keras_sat.resnet(
        50, "relu", pool_padding="symmetric", normalization="imagenet"
    )
    keras_sat.load_torch_checkpoint(model, "resnet50.pth")
    ```
    """
    checks.keras_network("model", model)
    path = checks.path("path", path)
    content = reading.read(path)
    with reading.refusing_broken_files(path):
        found = state_dicts.find(content)
    if entry is not None:
        checks.lookup("entry", entry, found)
    matches = {
        place: _match(model, arrays)
        for place, arrays in _large_enough(model, found).items()
        if entry in (None, place)
    }
    complete = [p for p, match in matches.items() if not match.problems()]
    if not complete:
        _refuse_differences(path, matches, found)
    place = _only_one(path, complete, matches)
    used = _assign(path, matches[place])
    return sorted(
        state_dicts.joined(where, name)
        for where, arrays in found.items()
        for name in arrays
        if where != place or name not in used
    )


def _large_enough(model, found):
    """Returns the dictionaries with enough tensors, or else the largest one."""
    needed = len(matching.sites(model))
    enough = {p: arrays for p, arrays in found.items() if len(arrays) >= needed}
    if enough or not found:
        return enough
    place = max(found, key=lambda place: len(found[place]))
    return {place: found[place]}


def _match(model, arrays):
    """Compares a dictionary of tensors with a model; see `matching.Match`."""
    statistics, weights = pixels.split(arrays)
    weights = {
        name: array
        for name, array in weights.items()
        if not families.IGNORABLE.search(name)
    }
    match = matching.best(model, weights)
    match.left = [
        name for name in match.left if not _is_copy(name, match, weights)
    ]
    pixels.add(match, model, statistics)
    return match


def _is_copy(name, match, arrays):
    """Tells if a tensor is the same as one that is used, by another name.

    Wrappers of attackers hold the network twice: `model.fc.weight` and
    `attacker.model.fc.weight`.
    """
    plain = name
    for _ in range(matching.LONGEST_PREFIX):
        used = match.used.get(plain)
        if used is not None:
            return np.array_equal(arrays[used], arrays[name])
        plain = plain.partition(".")[2]
    return False


def _only_one(path, complete, matches):
    """Returns the one place to load from; refuses to guess.

    Args:
        path: str. The file, for the error.
        complete: list of str. The places of all that a model needs.
        matches: dict from places to `matching.Match`.
    """
    first = min(state_dicts.rank(place) for place in complete)
    places = [p for p in complete if state_dicts.rank(p) == first]
    for place in places[1:]:
        pairs = zip(matches[places[0]].pairs, matches[place].pairs, strict=True)
        if not all(np.array_equal(a[1], b[1]) for a, b in pairs):
            checks.refuse(
                "entry",
                f"be one of {sorted(places)}, which all fit and differ",
                None,
                f"They are in {path!r}.",
            )
    return places[0]


def _assign(path, match):
    """Fills the weights of a model.

    Args:
        path: str. The file, for the error.
        match: `matching.Match`.

    Returns:
        set of str. The names of the tensors that were used.
    """
    values = []
    for weight, array, name in match.pairs:
        # A number of 64 bits may be too large for 32.
        with np.errstate(over="ignore"):
            value = np.array(array, "float32")
        if not np.isfinite(value).all():
            checks.refuse(
                "path", "hold finite weights", path, f"{name} has NaN or inf."
            )
        values.append((weight, value))
    # Only now, so that a model never gets half of a file.
    for weight, value in values:
        weight.assign(value)
    return {name for _, _, name in match.pairs}


def _refuse_differences(path, matches, found):
    """Refuses a file with another network, and says what is different.

    Args:
        path: str. The file.
        matches: dict from places to `matching.Match`.
        found: dict; see `state_dicts.find`.
    """
    if not matches:
        checks.refuse("path", EXPECTED, path, "It holds no named tensors.")
    place = min(matches, key=lambda place: matches[place].problems())
    match = matches[place]
    nearest = matching.nearest_family(found[place]) or "none that is known"
    sentences = [
        f"Differences: {match.problems()}, compared by {match.family}.",
        *_listed("Missing", match.missing),
        *_listed("Left over", match.left),
        *_listed("Not fitting", match.unfit),
        f"The nearest family of the file: {nearest}.",
    ]
    checks.refuse("path", EXPECTED, path, " ".join(sentences))


def _listed(kind, names):
    """Returns a list of one sentence with the first names, or of none."""
    if not names:
        return []
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    shown = ", ".join(name[:LONGEST] for name in names[:SHOWN])
    return [f"{kind}: {shown}{more}."]

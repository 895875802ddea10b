"""Finding the weights in what a file of PyTorch holds."""

import numpy as np

from keras_sat.torch_weights import tensors

# Words in the names of moving averages of weights. An evaluation uses these,
# if a file has both.
AVERAGES = ("ema", "averag", "swa")
NOT_AVERAGES = ("unaveraged", "not_averaged")
# How many dictionaries and lists may lie in each other.
DEEPEST = 16


def find(content):
    """Lists the dictionaries of tensors in a file, wherever they lie.

    Args:
        content: what `reading.read` returns.

    Returns:
        dict from the place of a dictionary, such as `"state_dict"`, `"ema"`,
        `"0"` or `""`, to a dict from names to NumPy arrays. Moving averages
        come first.

    Raises:
        ValueError: If a tensor leaves its storage.
    """
    found, seen, waiting = {}, set(), [("", content, 0)]
    while waiting:
        place, value, depth = waiting.pop()
        # A list may contain itself, or one other list many times.
        if id(value) in seen or not isinstance(value, dict | list | tuple):
            continue
        if depth > DEEPEST:
            raise ValueError(f"It is nested more than {DEEPEST} times.")
        seen.add(id(value))
        items = value.items() if isinstance(value, dict) else enumerate(value)
        items = [(joined(place, key), key, item) for key, item in items]
        arrays = {
            str(key): _array(item) for _, key, item in items if _is_tensor(item)
        }
        if arrays:
            found[place] = arrays
        waiting += [(at, item, depth + 1) for at, _, item in reversed(items)]
    return dict(sorted(found.items(), key=lambda item: rank(item[0])))


def rank(place):
    """Returns 0 for a place of moving averages, and 1 for any other."""
    place = place.lower()
    if any(word in place for word in NOT_AVERAGES):
        return 1
    return 0 if any(word in place for word in AVERAGES) else 1


def joined(place, key):
    """Returns the place of an entry of the dictionary at a place."""
    return f"{place}.{key}" if place else str(key)


def _is_tensor(value):
    """Tells if something is a tensor of PyTorch or of safetensors."""
    return isinstance(value, tensors.Tensor | np.ndarray)


def _array(value):
    """Returns the NumPy array of a tensor, without a copy."""
    return value if isinstance(value, np.ndarray) else value.array()

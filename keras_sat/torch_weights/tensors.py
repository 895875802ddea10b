"""The tensors of a PyTorch file, as views of the bytes that they lie in."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from keras_sat.torch_weights import pickles

DTYPES = {
    "BFloat16": tf.bfloat16.as_numpy_dtype,
    "Bool": "uint8",
    "Byte": "uint8",
    "Char": "int8",
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "Int": "int32",
    "Long": "int64",
    "Short": "int16",
}
# From the names of storages in a file, on the host or a GPU, to what they hold.
STORAGES = {
    f"torch.{device}{kind}Storage": np.dtype(dtype)
    for kind, dtype in DTYPES.items()
    for device in ("", "cuda.")
}


@dataclasses.dataclass(kw_only=True)
class Storage:
    """A piece of memory that tensors are views of.

    Args:
        key: str. What the file calls it.
        dtype: `np.dtype` of its numbers.
        numel: int. How many numbers the pickle says it has.
        data: bytes or the like; `None` until they are read.
    """

    key: str
    dtype: np.dtype
    numel: int
    data: object = None

    def array(self):
        """Returns all its numbers; refuses a size that is not what it says."""
        if self.data is None or len(self.data) != self.numel * self.bytes():
            raise ValueError(
                f"The storage {self.key!r} has not the {self.numel} numbers "
                "that it should have."
            )
        return np.frombuffer(self.data, self.dtype)

    def bytes(self):
        """Returns the number of bytes of a number."""
        return self.dtype.itemsize


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A view of a storage.

    Args:
        storage: `Storage`.
        offset: int. Where it begins, in numbers.
        size: tuple of int.
        stride: tuple of int. Numbers from one entry to the next, of each axis.
    """

    storage: Storage
    offset: int
    size: tuple
    stride: tuple

    def array(self):
        """Returns a NumPy array, without a copy.

        Raises:
            ValueError: If a part of it would lie outside the storage.
        """
        numbers = self.storage.array()
        if not math.prod(self.size):
            return np.zeros(self.size, numbers.dtype)
        # Where its last entry lies. Strides are never negative.
        last = self.offset + sum(
            (count - 1) * step
            for count, step in zip(self.size, self.stride, strict=True)
        )
        if last >= len(numbers):
            raise ValueError(
                f"A tensor of the shape {self.size} leaves its storage "
                f"{self.storage.key!r}."
            )
        # An axis with one entry may have any stride, however large.
        steps = [
            step * numbers.itemsize if count > 1 else 0
            for count, step in zip(self.size, self.stride, strict=True)
        ]
        # The bounds were checked above, which `as_strided` does not do.
        return np.lib.stride_tricks.as_strided(
            numbers[self.offset :], self.size, steps, writeable=False
        )


def storage(identifier):
    """Returns the empty storage that an identifier in a pickle stands for.

    Args:
        identifier: tuple `("storage", name of the type, key, device, number of
            elements)`, in old files with `None` at the end.
    """
    kind, name, key, _, numel = identifier[:5]
    views = [part for part in identifier[5:] if part is not None]
    known = (
        # Its type first: Python cannot look up a very deep tuple.
        type(name) is pickles.Name
        and name in STORAGES
        and kind == "storage"
        and type(key) is str
        and _is_count(numel)
    )
    if not known or views:
        raise ValueError(f"It refers to {identifier!r}.")
    return Storage(key=key, dtype=STORAGES[name], numel=numel)


def _rebuilt(storage, offset, size, stride, *_):
    """Returns a tensor as a pickle describes it."""
    size, stride = tuple(size), tuple(stride)
    numbers = (offset, *size, *stride)
    fits = type(storage) is Storage and len(size) == len(stride)
    if not fits or not all(_is_count(number) for number in numbers):
        raise ValueError(
            f"A tensor has offset {offset!r}, shape {size!r} and strides "
            f"{stride!r}."
        )
    return Tensor(storage, offset, size, stride)


def _is_count(number):
    """Tells whether something is an int that is not negative."""
    return type(number) is int and number >= 0


# All that a pickle in a file of weights may name; see `pickles.load`.
CONSTRUCTORS = {
    **dict.fromkeys(STORAGES),
    "collections.OrderedDict": pickles.dictionary,
    "torch.Size": tuple,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_tensor": _rebuilt,
    "torch._utils._rebuild_tensor_v2": _rebuilt,
}


def load_pickle(file, storages):
    """Reads a pickle whose tensors lie outside of it.

    Args:
        file: binary file.
        storages: dict that is filled, from keys to `Storage`s without data.

    Returns:
        See `pickles.load`; with `Tensor`s.

    Raises:
        ValueError: See `pickles.load`.
    """

    def find(identifier):
        # One storage for all tensors that share it.
        found = storage(identifier)
        known = storages.setdefault(found.key, found)
        if known != found:
            raise ValueError(f"It has two storages {found.key!r}.")
        return known

    return pickles.load(file, CONSTRUCTORS, find)

"""Files like those of PyTorch, written without it, honest and hostile ones.

The pickles in `tests/fixtures/torch/` are from real files of a real network,
whose tensors are in `tests/fixtures/fashion_mnist_convex.npz`.
"""

import contextlib
import dataclasses
import io
import json
import pickle
import struct
import sys
import types
import zipfile
from unittest import mock

import keras
import numpy as np

from tests.test_case import FIXTURES

FOLDER = FIXTURES / "torch"
# SHA-256 of the real file in the old format.
OLD_HASH = "b90cca41cc42b427d5ba1d1c10d90a5a8b6b5219538a3a4d1c6f825d3f612bc5"
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
KINDS = {
    "bfloat16": "BFloat16",
    "float16": "Half",
    "float32": "Float",
    "float64": "Double",
    "int64": "Long",
}


def real_tensors():
    """The tensors of the real network, in the layout of PyTorch."""
    with np.load(FIXTURES / "fashion_mnist_convex.npz") as file:
        return {key: file[key] for key in file if key[0].isdigit()}


def real_network(permuted=False):
    """The real network in Keras, without its weights.

    Args:
        permuted: bool. Whether it flattens its channels first, like PyTorch.
    """
    layers = keras.layers
    permute = [layers.Permute((3, 1, 2))] if permuted else []
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.ZeroPadding2D(1),
            layers.Conv2D(16, 4, strides=2, activation="relu"),
            layers.ZeroPadding2D(1),
            layers.Conv2D(32, 4, strides=2),
            layers.ReLU(),
            *permute,
            layers.Flatten(),
            layers.Dense(100, activation="relu"),
            layers.Dense(10),
        ]
    )


def real_old():
    """The bytes of the real file in the old format, which a GPU wrote."""
    header = (FOLDER / "fashion_mnist_old.bin").read_bytes()
    # The order in which PyTorch wrote the storages.
    order = "5.weight 0.weight 2.weight 2.bias 0.bias 7.weight 7.bias 5.bias"
    found = real_tensors()
    return header + b"".join(
        struct.pack("<q", found[name].size) + found[name].tobytes()
        for name in order.split()
    )


def real_zip(kind):
    """The entries of the real file `"mixed"` or `"wrapped"`."""
    found = real_tensors()
    names = [f"{i}.{part}" for i in "0257" for part in ("weight", "bias")]
    storages = {str(i): found[name] for i, name in enumerate(names)}
    if kind == "mixed":
        bfloat16 = np.dtype("bfloat16")
        storages["0"] = storages["0"].astype("float16")
        # The bias begins at the third number of its storage.
        storages["1"] = np.pad(storages["1"], [2, 0])
        storages["4"] = storages["4"].astype(bfloat16)
        storages["6"] = storages["6"].T
    pickled = (FOLDER / f"fashion_mnist_{kind}.pkl").read_bytes()
    return entries(pickled, storages)


def entries(pickled, storages=None, byteorder="little"):
    """The entries of a file in the zip format.

    Args:
        pickled: bytes of `data.pkl`.
        storages: dict from keys to arrays, or to bytes.
        byteorder: str.

    Returns:
        dict from names to bytes.
    """
    arrays = storages or {}
    return {
        "archive/data.pkl": pickled,
        "archive/byteorder": byteorder.encode(),
        **{
            f"archive/data/{key}": array
            if isinstance(array, bytes)
            else np.ascontiguousarray(array).tobytes()
            for key, array in arrays.items()
        },
        "archive/version": b"3\n",
    }


def write_zip(path, entries, compression=zipfile.ZIP_STORED):
    """Writes a zip file, and returns its path."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return str(path)


@dataclasses.dataclass
class View:
    """A tensor that is a view of the storage of an array.

    Args:
        array: the whole storage.
        offset: int.
        size: tuple.
        stride: tuple.
    """

    array: np.ndarray
    offset: int
    size: tuple
    stride: tuple


class Pickler(pickle.Pickler):
    """A pickler that writes arrays and `View`s as PyTorch writes tensors."""

    def __init__(self, file, rebuild, types, device="cpu"):
        super().__init__(file, protocol=2)
        self.rebuild, self.types, self.device = rebuild, types, device
        self.storages = {}

    def persistent_id(self, value):
        """See `pickle.Pickler.persistent_id`."""
        if not isinstance(value, Storage):
            return None
        known = [k for k, x in self.storages.items() if x is value.array]
        key = known[0] if known else str(len(self.storages))
        self.storages[key] = value.array
        kind = self.types[str(value.array.dtype)]
        return "storage", kind, key, self.device, value.array.size

    def reducer_override(self, value):
        """See `pickle.Pickler.reducer_override`."""
        if isinstance(value, np.ndarray):
            array = value
            if not value.flags.c_contiguous:
                array = np.ascontiguousarray(value)
            steps = [step // array.itemsize for step in array.strides]
            value = View(array, 0, array.shape, tuple(steps))
        if not isinstance(value, View):
            return NotImplemented
        storage = Storage(value.array)
        arguments = (storage, value.offset, value.size, value.stride, False)
        return self.rebuild, (*arguments, {})


@dataclasses.dataclass
class Storage:
    """What lies outside of the pickle."""

    array: np.ndarray


@contextlib.contextmanager
def pretended_torch():
    """Lets `pickle` find the names of PyTorch."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def rebuild():
        pass

    rebuild.__module__ = "torch._utils"
    rebuild.__name__ = rebuild.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    kinds = {}
    for dtype, kind in KINDS.items():
        name = f"{kind}Storage"
        kinds[dtype] = type(name, (), {"__module__": "torch"})
        setattr(torch, name, kinds[dtype])
    modules = {"torch": torch, "torch._utils": utils}
    with mock.patch.dict(sys.modules, modules):
        yield rebuild, kinds


def pickled(content, device="cpu"):
    """The pickle of a structure with arrays and `View`s, and its storages."""
    with pretended_torch() as names:
        file = io.BytesIO()
        pickler = Pickler(file, *names, device)
        pickler.dump(content)
    return file.getvalue(), pickler.storages


def save(path, content, device="cpu"):
    """Writes a structure in the zip format, and returns the path."""
    return write_zip(path, entries(*pickled(content, device)))


def save_old(path, content, device="cpu"):
    """Writes a structure in the old format, and returns the path."""
    body, storages = pickled(content, device)
    parts = [pickle.dumps(x, 2) for x in (MAGIC, PROTOCOL, {})]
    parts += [body, pickle.dumps(list(storages), 2)]
    for array in storages.values():
        parts += [struct.pack("<q", array.size), array.tobytes()]
    path.write_bytes(b"".join(parts))
    return str(path)


def safe(entries, data):
    """The bytes of a file of safetensors.

    Args:
        entries: dict from names to dicts with what the header says of them.
        data: bytes.
    """
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + data

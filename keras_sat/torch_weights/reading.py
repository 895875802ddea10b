"""Files of PyTorch and of safetensors, read without PyTorch."""

import contextlib
import io
import mmap
import os
import re
import zipfile

import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat import extras
from keras_sat.torch_weights import pickles
from keras_sat.torch_weights import tensors

# What the first pickle of a file in the old format holds, and the second one.
MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
SAFETENSORS = {
    "BF16": tf.bfloat16.as_numpy_dtype,
    "BOOL": "uint8",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "I8": "int8",
    "U8": "uint8",
}
EXPECTED = (
    "be a complete file of weights that PyTorch or safetensors wrote, with "
    "nothing but tensors, dictionaries, lists and numbers"
)
LONGEST = 300
STATE_DICT = (
    "Where PyTorch is installed, write the weights alone: "
    "torch.save(model.state_dict(), path)."
)


def read(path):
    """Reads a file of weights. Nothing in the file can run.

    Args:
        path: str or path-like. A `.safetensors` file, or one that `torch.save`
            wrote, in the zip format or the one before it, on any device.

    Returns:
        What is in the file: usually a dict, possibly nested, whose tensors are
        `tensors.Tensor`s or, of safetensors, NumPy arrays.

    Raises:
        ImportError: If safetensors is needed and not installed.
        TypeError: If `path` is not a path.
        ValueError: If the file is no such file, is damaged, or holds anything
            but tensors, dictionaries, lists, numbers and words.
    """
    path = checks.path("path", path)
    with refusing_broken_files(path):
        if path.endswith(".safetensors"):
            return _read_safetensors(path)
        if zipfile.is_zipfile(path):
            return _read_zip(path)
        return _read_old(path)


@contextlib.contextmanager
def refusing_broken_files(path):
    """Turns each error of reading into one that names the file.

    Args:
        path: str.
    """
    try:
        yield
    except (
        ArithmeticError,
        AttributeError,
        EOFError,
        LookupError,
        MemoryError,
        NotImplementedError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
    ) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        # A name in the file, which the reason may contain, has any length.
        reason = lines[0] if len(lines[0]) < LONGEST else lines[0][:LONGEST]
        reason = f"{reason.removesuffix('.')}."
        checks.refuse("path", EXPECTED, path, f"{reason} {STATE_DICT}")


def _read_zip(path):
    """Reads the format that `torch.save` writes since PyTorch 1.6."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        # PyTorch stores without compression, so that nothing grows when it is
        # read: an entry, or two that share their bytes, could fill the memory.
        claimed = sum(entry.file_size for entry in entries.values())
        methods = {entry.compress_type for entry in entries.values()}
        if claimed > os.path.getsize(path) or methods - {zipfile.ZIP_STORED}:
            raise ValueError("It is compressed, or made to grow when read.")
        roots = [
            name.removesuffix("data.pkl")
            for name in entries
            if name.split("/", 1)[-1] == "data.pkl"
        ]
        if len(roots) != 1:
            raise ValueError("It is a zip file of something else.")
        (root,) = roots
        storages = {}
        pickle = io.BytesIO(archive.read(f"{root}data.pkl"))
        content = tensors.load_pickle(pickle, storages)
        order = "little"
        if f"{root}byteorder" in entries:
            order = archive.read(f"{root}byteorder").decode()
        for key, storage in storages.items():
            storage.data = archive.read(f"{root}data/{key}")
            if order == "big":
                storage.dtype = storage.dtype.newbyteorder(">")
    return content


def _read_old(path):
    """Reads the format of PyTorch before 1.6: pickles, then the storages."""
    with open(path, "rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    storages = {}
    beginning = [tensors.load_pickle(memory, storages) for _ in range(2)]
    if beginning != [MAGIC, PROTOCOL]:
        raise ValueError("It is not a file of PyTorch.")
    # The sizes of the numbers of C on the machine, which PyTorch has fixed.
    tensors.load_pickle(memory, storages)
    content = tensors.load_pickle(memory, storages)
    keys = pickles.load(memory, {}, persistent=None)
    view, position = memoryview(memory), memory.tell()
    for key in keys:
        storage = storages[key]
        # Each storage comes after its number of elements, in eight bytes.
        count = int.from_bytes(view[position : position + 8], "little")
        position += 8
        end = position + count * storage.bytes()
        if count != storage.numel or end > len(view):
            raise ValueError(f"The storage {key!r} is not complete.")
        storage.data = view[position:end]
        position = end
    return content


def _read_safetensors(path):
    """Reads a file of safetensors, as a dict of NumPy arrays."""
    with extras.needed("safetensors"):
        import safetensors
    with open(path, "rb") as file:
        content = file.read()
    try:
        entries = safetensors.deserialize(content)
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error
    # The file sorts its tensors as texts, "10.weight" before "2.weight". Layers
    # that are matched in their order need that of the numbers.
    entries = sorted(entries, key=lambda entry: _natural(entry[0]))
    return {name: _safe_array(**entry) for name, entry in entries}


def _natural(name):
    """Returns a key that sorts names by the numbers in them."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in re.split(r"(\d+)", name)
    ]


def _safe_array(dtype, shape, data, **_):
    """Returns the array of an entry of safetensors."""
    if dtype not in SAFETENSORS:
        raise ValueError(f"It holds numbers of the type {dtype}.")
    return np.frombuffer(data, SAFETENSORS[dtype]).reshape(shape)

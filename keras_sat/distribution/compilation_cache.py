"""Compilations of XLA that later processes need not make again."""

import hashlib
import os
import pathlib
import platform

import tensorflow as tf

# There is no public way to ask whether TensorFlow has started.
from tensorflow.python.eager import context

from keras_sat import checks

_FLAG = "--tf_xla_persistent_cache_directory="


def keep_compilations(directory):
    """Makes XLA keep what it compiles in a folder, for later processes.

    A network that was compiled before is read from there, which leaves the
    tracing. An entry belongs to a graph, its shapes, the device and the version
    of TensorFlow; weights are no part of it. Entries of other processors and
    versions lie in folders of their own, and are not used.

    TensorFlow does not check an entry. One that is damaged ends in an
    `OutOfRangeError` or `InternalError` when the network is first called;
    delete the folder then. It grows until somebody deletes it.

    Call it before anything else is done with TensorFlow. It sets the variable
    `TF_XLA_FLAGS`, of which other flags stay.

    Args:
        directory: str or path-like. It is made if it does not exist.

    Returns:
        `pathlib.Path`, the folder within `directory` for this machine.

    Raises:
        RuntimeError: If TensorFlow has computed something already, and so has
            read its flags.
        ValueError: If the path has a space, which ends a flag.

    Example:

    ```python
    keras_sat.distribution.keep_compilations("~/.cache/keras_sat")
    report = keras_sat.evaluate_robustness(model, test_ds, jit_compile=True)
    ```
    """
    folder = pathlib.Path(directory).expanduser().absolute() / _machine()
    if any(map(str.isspace, str(folder))):
        checks.refuse("directory", "have no space in its path", str(folder))
    if context.context()._initialized:
        checks.refuse(
            "directory",
            "be set before TensorFlow computes anything",
            checks.Described("it too late"),
            "Call it right after the imports.",
            error=RuntimeError,
        )
    folder.mkdir(parents=True, exist_ok=True)
    flags = os.environ.get("TF_XLA_FLAGS", "").split()
    others = [flag for flag in flags if not flag.startswith(_FLAG)]
    os.environ["TF_XLA_FLAGS"] = " ".join([*others, f"{_FLAG}{folder}"])
    return folder


def _machine():
    """Returns a name for the version of TensorFlow and the processor."""
    processor = platform.machine() + platform.processor()
    information = pathlib.Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        # Code for one set of instructions must not run on another.
        kept = ("model name", "flags", "Features")
        processor += "".join(sorted({x for x in lines if x.startswith(kept)}))
    mark = hashlib.sha256(processor.encode()).hexdigest()[:12]
    return f"tensorflow-{tf.__version__}-{mark}"

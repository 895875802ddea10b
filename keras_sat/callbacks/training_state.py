"""Checkpoints: files with weights, optimizer, random seeds and metrics."""

import dataclasses
import json
import os
import re
import zipfile
import zlib

import numpy as np
from absl import logging

from keras_sat import checks
from keras_sat import files

_NAME = re.compile(r"checkpoint-(\d{6})-(\d{8})\.npz")
_DAMAGED = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile)


@dataclasses.dataclass
class Checkpoint:
    """The content of a checkpoint file.

    Args:
        epoch: int. The epoch to go on with.
        step: int. The number of steps of that epoch that were done.
        values: list of arrays, one for each variable but those of metrics.
        metrics: dict from the path of a variable of a metric to its value.
    """

    epoch: int
    step: int
    values: list
    metrics: dict


def save(model, directory, fingerprint, position, keep, write=True):
    """Writes a checkpoint and removes the oldest.

    Nothing is written if the state is not finite.

    Args:
        model: `SATModel`.
        directory: str.
        fingerprint: dict that `model.fingerprint()` returned.
        position: pair of ints, the epoch to go on with and the number of steps
            of it that were done.
        keep: int. The number of checkpoints to keep.
        write: bool. `False` only reads the variables: those of several workers
            cannot be read by one of them alone. Defaults to `True`.

    Raises:
        OSError: If the file cannot be written.
    """
    values = [_array(v) for v in _variables(model)]
    metrics = {v.path: _array(v) for v in model.metrics_variables}
    everything = [*values, *metrics.values()]
    if not all(np.isfinite(v).all() for v in everything if v.dtype.kind == "f"):
        logging.warning("Training is not finite: no checkpoint of it is saved.")
        return
    if not write:
        return
    header = {
        "epoch": position[0],
        "step": position[1],
        # The key by which files of earlier versions know it.
        "settings": fingerprint,
        "metrics": list(metrics),
    }
    arrays = {f"variable_{i}": value for i, value in enumerate(everything)}
    path = os.path.join(
        directory, "checkpoint-{:06d}-{:08d}.npz".format(*position)
    )
    try:
        os.makedirs(directory, exist_ok=True)
        files.write(
            path,
            lambda file: np.savez(file, header=json.dumps(header), **arrays),
        )
    except OSError as error:
        raise OSError(
            error.errno,
            f"A checkpoint could not be written ({error.strerror}). Those "
            "before it are as they were: make room, and start again by the "
            "same command",
            path,
        ) from error
    for old in _paths(directory)[keep:]:
        os.remove(old)


def newest(directory, fingerprint):
    """Returns the newest checkpoint that can be read.

    Args:
        directory: str.
        fingerprint: dict that `SATModel.fingerprint` returned.

    Returns:
        `Checkpoint`, or `None` if the directory holds none or is not there.

    Raises:
        ValueError: If it is one of another model or recipe, or if all are
            damaged.
    """
    paths = _paths(directory)
    for path in paths:
        try:
            found, checkpoint = _read(path)
        except (*_DAMAGED, zlib.error) as error:
            logging.warning(
                "Checkpoint %s is damaged (%s): the previous one is used.",
                path,
                error,
            )
            continue
        _check(path, found, fingerprint)
        return checkpoint
    if paths:
        checks.refuse(
            "directory",
            "hold a checkpoint that can be read",
            checks.Described(f"damaged ones only: {paths}"),
            "Remove them to begin anew.",
        )
    return None


def restore(model, checkpoint):
    """Assigns the state of a checkpoint to a model, without its metrics."""
    for variable, value in zip(
        _variables(model), checkpoint.values, strict=True
    ):
        variable.assign(value)


def restore_metrics(model, checkpoint):
    """Assigns the state of a checkpoint to the metrics that exist so far."""
    for variable in model.metrics_variables:
        if variable.path in checkpoint.metrics:
            variable.assign(checkpoint.metrics[variable.path])


def _variables(model):
    """Returns the variables of model and optimizer, each once; no metrics."""
    variables = [*model.variables, *model.optimizer.variables]
    return list({id(v): v for v in variables}.values())


def _array(variable):
    """Returns the value of a variable as an array that NumPy can save."""
    value = np.asarray(variable)
    # NumPy cannot save bfloat16, and float32 holds it exactly.
    return value.astype("float32") if value.dtype.name == "bfloat16" else value


def _paths(directory):
    """Returns the paths of the checkpoints, the newest one first."""
    if not os.path.isdir(directory):
        return []
    names = filter(_NAME.fullmatch, os.listdir(directory))
    return [os.path.join(directory, n) for n in sorted(names, reverse=True)]


def _read(path):
    """Returns the fingerprint in a checkpoint, and the checkpoint itself."""
    # The archive has a checksum of each array. NumPy would leave a damaged file
    # open.
    with open(path, "rb") as file, np.load(file) as arrays:
        header = json.loads(str(arrays["header"]))
        count = len(arrays.files) - 1
        values = [arrays[f"variable_{i}"] for i in range(count)]
    names = header["metrics"]
    split = count - len(names)
    metrics = dict(zip(names, values[split:], strict=True))
    return header["settings"], Checkpoint(
        header["epoch"], header["step"], values[:split], metrics
    )


def _check(path, found, fingerprint):
    """Refuses a checkpoint of another run.

    Args:
        path: str. The checkpoint.
        found: dict. The fingerprint in it.
        fingerprint: dict. The one of this run.
    """
    for part, expected in fingerprint.items():
        if found.get(part) != expected:
            checks.refuse(
                "directory",
                f"hold checkpoints of this run, with the same {part}",
                path,
                "Give each run a directory of its own.",
            )

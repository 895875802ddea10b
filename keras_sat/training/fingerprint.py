"""Descriptions of a run of training, by which two runs are compared."""

import hashlib
import json

import keras


def described(**parts):
    """Returns parts of a run in the form in which JSON gives them back.

    Args:
        **parts: what describes the run, by name. What JSON cannot hold is
            replaced by its `repr`.
    """
    return json.loads(json.dumps(parts, default=repr))


def described_variables(variables):
    """Returns name, shape and dtype of each variable.

    Args:
        variables: list of `keras.Variable`. The names of their layers are left
            out: Keras numbers layers in the order in which a process builds
            them.
    """
    return [
        [v.path.split("/")[-1], list(v.shape), str(v.dtype)] for v in variables
    ]


def without_names(part):
    """Returns how Keras would save an object, without the names in it.

    Args:
        part: what `keras.saving.serialize_keras_object` takes. Its name depends
            on what the process built before.
    """

    def nameless(value):
        if not isinstance(value, dict):
            return value
        return {k: nameless(v) for k, v in value.items() if k != "name"}

    return nameless(keras.saving.serialize_keras_object(part))


def digest(part):
    """Returns a number by which two descriptions are compared.

    Args:
        part: description that JSON can hold.

    Returns:
        int of 56 bits, which fits into an int64 tensor.
    """
    # Not by `hash`, which differs between processes for texts.
    text = json.dumps(part).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:7], "big")

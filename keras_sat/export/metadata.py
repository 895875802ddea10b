"""The metadata file of an exported classifier."""

import json
import os

import tensorflow as tf

from keras_sat import checks
from keras_sat.version import versions
from keras_sat.weights.averaging import has_averages

# In a folder that servers and TensorFlow ignore.
METADATA_FILE = os.path.join("assets.extra", "keras_sat.json")
# To be raised when readers of older metadata would misread newer one.
FORMAT = "keras_sat serving 1"


def metadata_text(model, served, moving_averages, report, metadata):
    """Describes an exported classifier, for people and programs.

    Args:
        model: `SATModel`, or `keras.Model` from images to logits.
        served: `endpoints.Endpoints`.
        moving_averages: bool. See `export.saved_model`.
        report: `RobustnessReport`, or `None`.
        metadata: dict, or `None`. See `export.saved_model`.

    Returns:
        str. The text of a JSON file.

    Raises:
        TypeError: If `report` is no report, or if `metadata` holds something
            that JSON cannot hold.
        ValueError: If `metadata` holds a number that is not finite.
    """
    content = {
        "format": FORMAT,
        "name": checks.network_of(model).name,
        "signatures": list(served.signatures()),
        "image_shape": served.image_shape,
        "value_range": served.value_range,
        "class_names": served.class_names,
        "top_k": served.top_k,
        "max_pixels": served.max_pixels,
        "view": served.view.settings(),
        "moving_averages": bool(moving_averages and has_averages(model)),
        "training": _training(model),
        "robustness": _robustness(report),
        "versions": versions(),
        "metadata": metadata or {},
    }
    try:
        return json.dumps(content, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        return checks.refuse(
            "metadata",
            "be a dict of what JSON can hold",
            checks.Described(str(error)),
            error=type(error),
        )


def read_metadata(path):
    """Returns the description of a classifier that this package exported.

    Args:
        path: str. The folder of a SavedModel.

    Returns:
        dict. Empty for a SavedModel of others.
    """
    file = os.path.join(path, METADATA_FILE)
    if not tf.io.gfile.exists(file):
        return {}
    with tf.io.gfile.GFile(file) as stream:
        content = json.load(stream)
    is_ours = isinstance(content, dict) and content.get("format") == FORMAT
    return content if is_ours else {}


def _training(model):
    """Describes the attack that a model was trained against, if any."""
    attack = getattr(model, "attack", None)
    if attack is None:
        return None
    return _attributes(attack, "epsilon", "norm") | {"attack": repr(attack)}


def _robustness(report):
    """Quotes the accuracies of a report, if there is one."""
    if report is None:
        return None
    # Not by its class, which is in a package that imports this one.
    if not hasattr(report, "robust_accuracy"):
        checks.refuse(
            "report", "be a RobustnessReport", report, error=TypeError
        )
    return _attributes(
        report,
        *("epsilon", "norm", "clean_accuracy", "robust_accuracy"),
        *("interval", "num_images", "attacks", "seed"),
    )


def _attributes(source, *names):
    """Returns attributes by their names, `None` for those that are missing."""
    return {name: getattr(source, name, None) for name in names}

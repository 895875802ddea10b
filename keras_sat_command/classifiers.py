"""The classifiers that commands are given: files, exports and trainings."""

import json
import os

from keras_sat_command import problems

# What a training leaves in its folder.
BEST, REPORT = "best.keras", "report.json"


def path_of(model):
    """Returns the path of a model, which may be that of a training.

    Args:
        model: str. A `.keras` file, a SavedModel, or the folder that
            `keras-sat train` wrote.

    Raises:
        CommandError: If there is no such file or folder.
    """
    if not os.path.exists(model):
        problems.wrong("MODEL", f"is not there: {model!r}")
    best = os.path.join(model, BEST)
    return best if os.path.exists(best) else model


def load(model):
    """Returns the classifier of a path; see `path_of`."""
    import keras_sat

    with problems.arguments(path="MODEL", custom_objects="MODEL"):
        return keras_sat.load_classifier(path_of(model))


def load_layers(model):
    """Returns the Keras model of a path, as one with layers.

    Args:
        model: str. See `path_of`; not a SavedModel.
    """
    import keras

    classifier = load(model)
    if not isinstance(classifier, keras.Model):
        problems.wrong("MODEL", f"has no layers, as a SavedModel: {model!r}")
    return getattr(classifier, "model", classifier)


def view_of(model, classifier):
    """Returns what a model has seen of pictures when it was evaluated.

    Args:
        model: str. See `path_of`.
        classifier: what `load` returned.

    Returns:
        Dict of options of `data.image_folder`; empty if it is not known.
    """
    report = os.path.join(model, REPORT)
    if not os.path.exists(os.path.join(model, BEST)) or not os.path.exists(
        report
    ):
        return getattr(classifier, "view", {})
    with open(report, encoding="utf-8") as file:
        return json.load(file)["settings"].get("view", {})


def image_shape(classifier, image_size=None):
    """Returns height, width and channels of the images of a classifier.

    Args:
        classifier: what `load` returned.
        image_size: int. Height and width, if it takes any.
    """
    # A network with code of its own knows no shape, but a `SATModel` of it.
    shape = getattr(classifier, "image_shape", None)
    if shape is None:
        shape = getattr(classifier, "input_shape", (None, None, None, 3))[1:]
    height, width, channels = shape
    if None in (height, width) and image_size is None:
        problems.wrong("--image-size", "is needed: MODEL takes any size")
    return height or image_size, width or image_size, channels or 3

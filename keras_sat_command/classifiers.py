"""The classifiers that commands are given: files, exports and presets."""

import importlib.util
import json
import os

from keras_sat_command import problems

# What a training and a preset have in their folders.
BEST, REPORT = "best.keras", "report.json"
NETWORK, CARD = "model.keras", "card.json"


def path_of(model):
    """Returns the path of a model, which may be that of a training.

    Args:
        model: str. A `.keras` file, a SavedModel, the folder that `keras-sat
            train` wrote, that of a preset, or the name of one.

    Raises:
        CommandError: If there is no such file or folder.
    """
    folder = folder_of(model)
    if not os.path.exists(folder):
        known = ", ".join(shipped())
        problems.wrong("MODEL", f"is not there: {model!r} (presets: {known})")
    best = os.path.join(folder, BEST)
    if os.path.exists(best):
        return best
    return os.path.join(folder, NETWORK) if is_preset(model) else folder


def folder_of(model):
    """Returns the folder of a preset that has a name, else `model` itself."""
    return shipped().get(model, model)


def is_preset(model):
    """Tells whether a model is a preset; see `path_of`."""
    return os.path.exists(os.path.join(folder_of(model), CARD))


def shipped():
    """Returns the folders of the presets in the package, by their names."""
    # Not by an import, which takes seconds.
    package = os.path.dirname(importlib.util.find_spec("keras_sat").origin)
    networks = os.path.join(package, "pretrained", "networks")
    names = sorted(os.listdir(networks))
    return {name: os.path.join(networks, name) for name in names}


def load(model):
    """Returns the classifier of a path; see `path_of`."""
    path = path_of(model)
    import keras_sat

    names = ("path", "custom_objects", "name_or_folder")
    with problems.arguments(**dict.fromkeys(names, "MODEL")):
        if is_preset(model):
            return keras_sat.load_preset(folder_of(model))
        return keras_sat.load_classifier(path)


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
    folder = folder_of(model)
    report = os.path.join(folder, REPORT)
    is_known = os.path.exists(os.path.join(folder, BEST)) or is_preset(model)
    if not is_known or not os.path.exists(report):
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

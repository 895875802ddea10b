"""The folder of a trained network: its file, its card and its report."""

import hashlib
import os
import zipfile
import zlib

import keras
import numpy as np

from keras_sat import checks
from keras_sat import files
from keras_sat import loading
from keras_sat.evaluation import report_files
from keras_sat.export.unfinished import move
from keras_sat.export.unfinished import unfinished_folder
from keras_sat.pretrained import card_text
from keras_sat.pretrained import configurations
from keras_sat.pretrained.card import PresetCard
from keras_sat.pretrained.card import card_of

# The names of the files in a folder. `report.json` is that of
# `RobustnessReport.save`, without pictures.
NETWORK, CARD, PAGE = "model.keras", "card.json", "card.md"
# What Python, Keras and HDF5 raise for damaged or strange content.
DAMAGED = (
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def write(path, network, report, stated):
    """Writes a folder whole or not at all.

    Args:
        path: str. The folder; one that is there is replaced.
        network: `keras.Model`, a graph of layers.
        report, stated: see `save_preset`.

    Returns:
        `PresetCard`.
    """
    path = os.path.abspath(path)
    checks.classifier("model", network)
    _check_finite(network, "model")
    # The same layers, but neither a compilation nor an optimizer.
    ends = network.inputs[0], network.outputs[0]
    network = keras.Model(*ends, name=network.name)
    with unfinished_folder(path) as temporary:
        os.makedirs(temporary)
        place = os.path.join(temporary, NETWORK)
        with files.replacing(place, ".keras") as unnamed:
            network.save(unnamed)
        name = os.path.basename(path)
        card = card_of(name, network, report, stated, _sha256(place))
        files.write_text(os.path.join(temporary, CARD), card.text())
        page = card_text.markdown(card)
        files.write_text(os.path.join(temporary, PAGE), page)
        report_files.write_without_pictures(report, temporary)
        _check_loads(temporary)
        move(temporary, path)
    return card


def read_card(folder):
    """Returns the card in a folder.

    Args:
        folder: str or path-like.

    Raises:
        ValueError: If there is none, or a damaged one.
    """
    try:
        with open(os.path.join(folder, CARD), encoding="utf-8") as file:
            return PresetCard.parse(file.read())
    except DAMAGED as error:
        return _refuse(folder, f"{CARD}: {_words(error)}", error)


def read(folder):
    """Returns the network in a folder.

    Args:
        folder: str or path-like.

    Raises:
        ValueError: If the folder is damaged, or holds something else.
    """
    card = read_card(folder)
    place = os.path.join(folder, NETWORK)
    try:
        found = _sha256(place)
    except OSError as error:
        return _refuse(folder, f"{NETWORK}: {_words(error)}", error)
    if found != card.sha256:
        _refuse(
            folder,
            f"a {NETWORK} that is not the one of the card: it is damaged, or "
            "that of another network",
        )
    try:
        configurations.check_file(place)
        network = loading.load_classifier(place)
    except DAMAGED as error:
        return _refuse(folder, f"{NETWORK}: {_words(error)}", error)
    _check_fits(folder, network, card)
    _check_finite(network, "name_or_folder")
    return network


def is_preset(folder):
    """Tells whether a folder looks like one that `write` has made."""
    return os.path.isfile(os.path.join(folder, CARD))


def _check_fits(folder, network, card):
    """Refuses a network that is not the one that its card describes."""
    image_shape, num_classes = checks.classifier("model", network)
    found = {
        "image_shape": tuple(image_shape),
        "num_classes": num_classes,
        "parameters": network.count_params(),
    }
    different = [
        f"{name} {value} instead of {getattr(card, name)}"
        for name, value in found.items()
        if getattr(card, name) != value
    ]
    if different:
        _refuse(folder, f"a network with {', '.join(different)}")


def _check_finite(network, argument):
    """Refuses weights that are not finite."""
    for variable in network.variables:
        value = np.asarray(variable.value, "float32")
        if not np.isfinite(value).all():
            checks.refuse(
                argument,
                "have finite weights",
                checks.Described(f"others in {variable.path!r}"),
            )


def _check_loads(folder):
    """Refuses a model that was saved, but would not be loaded again."""
    try:
        read(folder)
    except ValueError as error:
        raise ValueError(
            "`model` must be one that `load_preset` can load. Received one "
            f"that it refuses: {error}"
        ) from error


def _sha256(path):
    """Returns the hash of the content of a file."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _words(error):
    """Returns the first line of an error."""
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0][:500]


def _refuse(folder, problem, cause=None):
    """Refuses a folder for what is in it."""
    try:
        checks.refuse(
            "name_or_folder",
            "be a preset, or a folder as `save_preset` writes it",
            checks.Described(f"{os.fspath(folder)!r} ({problem})"),
        )
    except ValueError as error:
        raise error from cause

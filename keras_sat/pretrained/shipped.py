"""Presets: trained networks by name, and from folders of users."""

import collections
import difflib
import os
import pathlib

from keras_sat import checks
from keras_sat import files
from keras_sat.pretrained import card_text
from keras_sat.pretrained import folders
from keras_sat.weights.averaging import averaged_weights

# The folders of the networks that come with this package.
SHIPPED = pathlib.Path(__file__).with_name("networks")
# The columns of the table of presets.
HEAD = (
    *("name", "images", "classes", "weights"),
    *("threat model", "measured on", "clean", "robust"),
)


class PresetTable(collections.UserDict):
    """Presets by their names: a mapping to cards, printed as a table."""

    def __repr__(self):
        rows = [HEAD, *map(_row, self.values())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows
        )
        return "\n".join(lines)

    def _repr_markdown_(self):
        """Returns what notebooks show."""
        return card_text.table([HEAD, *map(_row, self.values())])


def _row(card):
    """Returns what the table says of a preset, a tuple of str."""
    return (
        card.name,
        card_text.shape(card),
        str(card.num_classes),
        f"{card.parameters:,}",
        card_text.threat_model(card),
        f"{card.num_images:,}",
        f"{card.clean_accuracy:.2%}",
        f"{card.robust_accuracy:.2%}",
    )


def presets():
    """Lists the trained networks that come with this package.

    Returns:
        `PresetTable`: a mapping from names to `PresetCard`, which prints as a
        table.

    Example:

    ```python
    print(keras_sat.presets())
    card = keras_sat.presets()["resnet_silu_digits"]
    print(card.robust_accuracy)
    ```
    """
    return PresetTable(
        (folder.name, folders.read_card(folder))
        for folder in sorted(SHIPPED.iterdir())
        if folders.is_preset(folder)
    )


def load_preset(name_or_folder):
    """Loads a robust classifier that was trained before.

    Nothing is downloaded, and no code in a file is run: a network is made of
    layers of Keras, of this package, and of those that were registered by
    `keras.saving.register_keras_serializable`.

    Args:
        name_or_folder: str or path-like. A name that `presets` lists, or a
            folder that `save_preset` wrote.

    Returns:
        `keras.Model` from images in `[0, 1]` to logits.

    Raises:
        TypeError: If `name_or_folder` is neither.
        ValueError: If there is no such preset, or if its folder is damaged,
            holds another network than its card says, or something that is not
            part of a network.

    Example:

    ```python
    model = keras_sat.load_preset("resnet_silu_digits")
    ```
    """
    given = checks.path("name_or_folder", name_or_folder)
    names = [path.name for path in SHIPPED.iterdir() if folders.is_preset(path)]
    if given in names:
        return folders.read(SHIPPED / given)
    if os.path.isdir(given):
        return folders.read(given)
    if os.path.exists(given):
        checks.refuse(
            "name_or_folder",
            "be a preset, or a folder as `save_preset` writes it",
            checks.Described(f"a file, {given!r}"),
            "Load files with load_classifier.",
        )
    like = difflib.get_close_matches(given, names)
    return checks.refuse(
        "name_or_folder",
        f"be one of {sorted(names)}, or a folder that `save_preset` wrote",
        given,
        f"Like it: {like}." if like else "",
    )


def save_preset(model, folder, report, card=None, overwrite=False):
    """Writes a trained network as a folder that `load_preset` reads.

    The folder appears whole or not at all. In it are the network
    (`model.keras`), its card for people (`card.md`) and programs (`card.json`),
    and what happened to each image (`report.json`, which
    `RobustnessReport.load` reads).

    Args:
        model: `SATModel`, or `keras.Model` that is a graph of layers from
            images in `[0, 1]` to logits. Of a `SATModel` the network is
            written; with its moving averages, where the optimizer has them.
        folder: str or path-like. Its last part is the name of the preset; the
            folders around it are created.
        report: the `RobustnessReport` of this model.
        card: dict of what only you know, all of it optional: `summary`,
            `data`, `data_license`, `command`, `machine` and `date` (str),
            `recipe` (`Recipe`, dict or str), `seeds` (int, list or dict),
            `limits` and `class_names` (lists of str). `date` defaults to
            today, `class_names` to those of the report.
        overwrite: bool. Whether to replace a preset that is there. Defaults to
            `False`.

    Returns:
        `PresetCard`.

    Raises:
        OSError: If the disk is full. A preset that was there before stays.
        TypeError: If an argument is of another kind.
        ValueError: If the folder is there, unless `overwrite`, or is no
            preset, if it cannot be written, if the model has another range of
            pixels or weights that are not finite, would not be loaded again,
            or does not fit its report, or if `card` has other keys.

    Example:

    ```python
    report = keras_sat.evaluate_robustness(model, test_ds)
    keras_sat.save_preset(
        model, "presets/digits", report, card={"data": "Our own digits."}
    )
    model = keras_sat.load_preset("presets/digits")
    ```
    """
    network = checks.network_of(model)
    checks.layer_graph("model", network)
    value_range = tuple(getattr(model, "value_range", (0.0, 1.0)))
    if value_range != (0.0, 1.0):
        checks.refuse(
            "model",
            "take pixels in [0, 1]",
            checks.Described(f"one with value_range={value_range}"),
            "Put a keras.layers.Rescaling in front of it.",
        )
    path = _path_to_write(folder, overwrite)
    with (
        files.alone("folder", path, kind="folder"),
        averaged_weights(model),
    ):
        return folders.write(path, network, report, card)


def _path_to_write(folder, overwrite):
    """Returns the path of a folder that may be written or replaced."""
    path = os.path.normpath(checks.path("folder", folder))
    # A link stays; the folder that it leads to is replaced.
    path = os.path.realpath(path) if os.path.islink(path) else path
    if not os.path.exists(path) or (
        os.path.isdir(path) and not os.listdir(path)
    ):
        return path
    if not folders.is_preset(path):
        checks.refuse("folder", "be new, or that of a preset", folder)
    if not overwrite:
        checks.refuse(
            "folder",
            "be new, unless `overwrite` is True",
            checks.Described(f"the preset in {path!r}"),
            "Pass overwrite=True to replace it.",
        )
    return path

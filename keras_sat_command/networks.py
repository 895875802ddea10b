"""`keras-sat convert` and `keras-sat export`."""

import json
import os
import pathlib
from typing import Literal

from keras_sat_command import classifiers
from keras_sat_command import problems
from keras_sat_command.flags import OptionalNumber
from keras_sat_command.flags import OptionalWhole
from keras_sat_command.measuring import Crop

Replace = Literal["non_smooth", "all"]
Format = Literal["saved_model", "litert", "onnx"]


def convert(
    model: str,
    output: str,
    *,
    activation: str = "silu",
    replace: Replace = "non_smooth",
    smooth_gates: bool = False,
    remove_softmax: bool = False,
    momentum: OptionalNumber = None,
    overwrite: bool = False,
):
    """Gives a network other activations, and lists those it has replaced.

    Args:
        model: A .keras file of any Keras model with layers, or a preset.
        output: The .keras file to write.
        activation: The new activation, like silu, gelu or smoothrelu.
        replace: Only the activations with a kink, or all of them.
        smooth_gates: Make hard sigmoids smooth as well.
        remove_softmax: Leave out a softmax at the end, to return logits.
        momentum: Momentum of the batch normalizations, like 0.9.
        overwrite: Replace a file that is there.
    """
    check_output(output, overwrite)
    path = classifiers.path_of(model)
    import keras

    import keras_sat

    # Not as a classifier: its softmax may be what is to be removed.
    network = keras.saving.load_model(path, compile=False)
    network = getattr(network, "model", network)
    lines = []
    with problems.arguments(model="MODEL"):
        converted = keras_sat.convert_activations(
            network,
            activation,
            replace=replace,
            smooth_gates=smooth_gates,
            remove_softmax=remove_softmax,
            momentum=momentum,
            print_fn=lines.append,
        )
    converted.save(output)
    return "\n".join(lines)


def check_output(path, overwrite):
    """Refuses to write a `.keras` file where there is something.

    Args:
        path: str. What the user gave as OUTPUT.
        overwrite: bool. Whether it may be replaced.
    """
    if not path.endswith(".keras"):
        problems.wrong("OUTPUT", f"must end with .keras: {path!r}")
    if os.path.exists(path) and not overwrite:
        problems.wrong(
            "OUTPUT", f"is there already: {path!r}; --overwrite replaces it"
        )
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)


def export(
    model: str,
    output: str,
    *,
    format: Format = "saved_model",
    class_names: str | None = None,
    report: str | None = None,
    top_k: OptionalWhole = None,
    crop: Crop = "auto",
    max_pixels: int = 25_000_000,
    overwrite: bool = False,
):
    """Exports a classifier for servers and devices.

    Args:
        model: A .keras file, the folder of a training, or a preset.
        output: The folder of a SavedModel, or the file of another format. The
            last part of a folder is the version for the server, like 1.
        format: What to write.
        class_names: Text file with a name in each line. Of a SavedModel, as
            all that follow but --overwrite.
        report: Folder of the report that its metadata quote; by default that
            of the training.
        top_k: Number of classes to return.
        crop: Part of a picture to see; auto is that of the report.
        max_pixels: Largest picture that is decoded.
        overwrite: Replace an export that is there.
    """
    classifiers.path_of(model)
    import keras_sat

    classifier = _with_optimizer(model)
    with problems.arguments(path="OUTPUT"):
        if format != "saved_model":
            keras_sat.export.other_format(
                classifier, output, format, overwrite=overwrite
            )
            return f"{output}: {os.path.getsize(output)} bytes"
        options = {"top_k": top_k, "max_pixels": max_pixels}
        if crop != "auto":
            options["crop"] = crop
        keras_sat.export.saved_model(
            classifier,
            output,
            overwrite=overwrite,
            class_names=_lines(class_names),
            report=_report(model, report),
            **options,
        )
    metadata = pathlib.Path(output) / "assets.extra" / "keras_sat.json"
    values = json.loads(metadata.read_text(encoding="utf-8"))
    return "\n".join(f"{name}: {value}" for name, value in values.items())


def _with_optimizer(model):
    """Returns a classifier; a `SATModel` with its moving averages."""
    import keras_sat

    classifier = classifiers.load_layers(model)
    with problems.arguments(path="MODEL"):
        try:
            return keras_sat.load_model(classifiers.path_of(model))
        except ValueError:
            # It is another Keras model.
            return classifier


def _lines(path):
    """Returns the lines of a file of names, or `None` without one."""
    if path is None:
        return None
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def _report(model, folder):
    """Returns the report to quote, or `None`.

    Args:
        model: str. See `classifiers.path_of`.
        folder: str, or `None`. Where the report is.
    """
    import keras_sat

    if folder is None:
        folder = classifiers.folder_of(model)
        if not os.path.exists(os.path.join(folder, classifiers.REPORT)):
            return None
    with problems.arguments(directory="--report"):
        return keras_sat.RobustnessReport.load(folder)

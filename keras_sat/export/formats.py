"""Exports of a trained classifier to servers and devices."""

import contextlib
import os

import keras
import tensorflow as tf
from absl import logging

from keras_sat import checks
from keras_sat import extras
from keras_sat import files
from keras_sat.export.endpoints import endpoints_of
from keras_sat.export.metadata import METADATA_FILE
from keras_sat.export.metadata import metadata_text
from keras_sat.export.unfinished import move
from keras_sat.export.unfinished import unfinished_folder
from keras_sat.weights.averaging import averaged_weights

# From other names of formats to those that Keras has.
OLDER_NAMES = {"tflite": "litert"}


def saved_model(
    model,
    path,
    *,
    overwrite=False,
    moving_averages=True,
    report=None,
    metadata=None,
    **options,
):
    """Writes a classifier as a SavedModel with signatures for servers.

    The signatures differ in what they take:

    - `serving_default`: `images`, float32 `(batch, height, width, channels)`
      in `value_range`.
    - `serve_uint8`: `images`, uint8 of that shape.
    - `serve_jpeg`, if there are 3 channels or 1: `image_bytes`, `(batch,)`:
      JPEG, PNG, WebP, GIF or BMP files of up to `max_pixels`. They are cropped
      and resized like the evaluation data of `keras_sat.data`; a model with 1
      channel gets their brightness.

    All of them return `logits` and `probabilities` `(batch, num_classes)`,
    `top_classes` (int32) and `top_names` `(batch, top_k)`, the most probable
    class first. For an empty batch, they return empty tensors. A request with
    values out of range, with a file that is no image, or with one that is too
    large, gets an InvalidArgument error that gives the place of the bad file in
    the batch. A further signature, `serve`, maps float images to logits alone,
    like in every export by Keras.

    The folder appears whole or not at all.
    Its `assets.extra/keras_sat.json` describes the content for people and
    programs.

    Args:
        model: `SATModel`, or `keras.Model` from images to logits.
        path: str or path-like. The folder to write; those around it are
            created.
        overwrite: bool. Whether to replace a SavedModel that is there. Defaults
            to `False`.
        moving_averages: bool. Whether to write the moving averages of the
            weights where the optimizer of `model` keeps them
            (`use_ema=True`). `model` itself stays as it is. Defaults to `True`.
        report: `RobustnessReport` that is quoted in the metadata. Defaults to
            none.
        metadata: dict of values that JSON can hold, to be added to the
            metadata. Defaults to none.
        **options:
            class_names: sequence of str, a different one for each class.
                Defaults to the numbers of the classes.
            top_k: int >= 1. Defaults to `5`, or to all classes if they are
                fewer.
            value_range: pair of floats. The values of black and of white in
                the images that `model` takes. Defaults to that of a `SATModel`,
                else to `(0.0, 1.0)`.
            image_size: pair of int. Height and width of images, if the model
                takes any size. Defaults to those of the model.
            max_pixels: int >= 1. Height times width that an encoded image may
                have. It is read from the header before the image is decoded: a
                file of a few kilobytes can be an image of gigabytes. Defaults
                to `25_000_000`.
            crop, crop_padding, resizing: what is seen of an encoded image; see
                `data.image_folder`, whose `view` holds them. Default to those
                that `report` names, else to those of that function.

    Raises:
        TypeError: If an argument is of another kind, or not known.
        ValueError: If `path` holds a SavedModel, unless `overwrite`, or
            something else, cannot be written or is written by another process,
            if the model contains operations that servers lack, or if arguments
            disagree.

    Example:

    ```python
    keras_sat.export.saved_model(
        model, "classifier/1", class_names=train_ds.class_names, report=report
    )
    ```
    """
    path = _check_path(path, overwrite)
    if options.get("value_range") is None:
        options["value_range"] = getattr(model, "value_range", (0.0, 1.0))
    network = checks.network_of(model)
    # What servers see of a picture is what the report is about.
    options = getattr(report, "settings", {}).get("view", {}) | options
    with files.alone("path", path, kind="folder"):
        served = endpoints_of(network, **options)
        text = metadata_text(model, served, moving_averages, report, metadata)
        with averaged_weights(model, moving_averages):
            _write(served, text, path)


def other_format(
    model, path, format, *, overwrite=False, moving_averages=True, **kwargs
):
    """Writes a network by `keras.Model.export`, for LiteRT or ONNX for example.

    The file appears whole or not at all.

    Args:
        model: `SATModel`, or `keras.Model` from images to logits.
        path: str or path-like. The file to write; folders around it are
            created. For `"litert"` it must end with `.tflite`.
        format: str. A format of `keras.Model.export`, or `"tflite"`, the name
            that LiteRT had before.
        overwrite: bool. Whether to replace a file that is there. Defaults to
            `False`.
        moving_averages: bool. See `saved_model`.
        **kwargs: other arguments of `keras.Model.export`.

    Raises:
        ValueError: If there is a file, unless `overwrite`, if ONNX has no
            counterpart for an operation of the model, or if `path` cannot be
            written or is written by another process.
    """
    path, gfile = checks.path("path", path), tf.io.gfile
    format = OLDER_NAMES.get(format, format)
    if gfile.isdir(path):
        checks.refuse("path", "be a file", path)
    if gfile.exists(path) and not overwrite:
        _refuse_to_overwrite(path, "file", f"the file {path!r}")
    network = checks.network_of(model)
    image_shape, _ = checks.classifier("model", network)
    # Keras writes to the file itself, so it gets a folder of its own.
    with files.alone("path", path), unfinished_folder(path) as folder:
        # Keras refuses models that were loaded and not called yet.
        network(keras.KerasTensor((None, *image_shape)))
        gfile.makedirs(folder)
        written = os.path.join(folder, os.path.basename(path))
        with averaged_weights(model, moving_averages):
            network.export(written, format=format, **kwargs)
        if format == "onnx":
            _check_onnx(written)
        # Some formats consist of several files.
        for name in gfile.listdir(folder):
            target = os.path.join(os.path.dirname(path), name)
            gfile.rename(os.path.join(folder, name), target, overwrite=True)


def _write(served, metadata, path):
    """Writes a SavedModel under another name, then renames it.

    Args:
        served: `endpoints.Endpoints`.
        metadata: str. The text of the metadata file.
        path: str. The folder to write or to replace.
    """
    archive = keras.export.ExportArchive()
    for name, (function, spec) in served.signatures().items():
        archive.add_endpoint(name, function, [spec])
    gfile = tf.io.gfile
    with unfinished_folder(path) as temporary:
        with _without_details():
            archive.write_out(temporary, verbose=False)
        file = os.path.join(temporary, METADATA_FILE)
        gfile.makedirs(os.path.dirname(file))
        with gfile.GFile(file, "w") as stream:
            stream.write(metadata)
        move(temporary, path)


@contextlib.contextmanager
def _without_details():
    """Keeps TensorFlow from listing the variables of every function."""
    before = logging.get_verbosity()
    logging.set_verbosity(min(before, logging.WARNING))
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _check_path(path, overwrite):
    """Returns the path of a folder that may be written or replaced."""
    gfile, given = tf.io.gfile, path
    # A link stays; the folder that it leads to is replaced.
    path = checks.path("path", path).rstrip("/")
    path = os.path.realpath(path) if os.path.islink(path) else path
    if path and not gfile.exists(path):
        return path
    if gfile.isdir(path):
        if not gfile.listdir(path):
            return path
        if tf.saved_model.contains_saved_model(path):
            if not overwrite:
                received = f"the SavedModel in {os.fspath(given)!r}"
                _refuse_to_overwrite(path, "folder", received)
            return path
    return checks.refuse(
        "path", "be a new folder, or that of a SavedModel to replace", given
    )


def _refuse_to_overwrite(path, kind, received):
    """Refuses to replace an export that nobody said may be replaced.

    Args:
        path: str.
        kind: str. `"file"` or `"folder"`.
        received: str. What is there.
    """
    name = os.path.basename(path)
    fix = "Pass overwrite=True to replace it"
    if name.isdigit():
        # Servers find the newest version by its number.
        newer = os.path.join(os.path.dirname(path), str(int(name) + 1))
        fix += f", or export a newer version to {newer!r}"
    checks.refuse(
        "path", f"be a new {kind}", checks.Described(received), f"{fix}."
    )


def _check_onnx(path):
    """Refuses a file with operations that ONNX does not know.

    The converter writes them all the same and only logs them.
    """
    with extras.needed("onnx"):
        import onnx
    try:
        onnx.checker.check_model(path)
    except onnx.checker.ValidationError as error:
        checks.refuse(
            "model",
            "consist of operations that ONNX has",
            checks.Described(str(error).strip()),
            "Convert its activations to another one, such as silu.",
        )

"""A trained classifier as a SavedModel that servers need nothing else for."""

import contextlib
import json
import os
import re
import secrets

import keras
import tensorflow as tf
from absl import logging

from keras_sat import checks
from keras_sat import extras
from keras_sat import files
from keras_sat.export import endpoints
from keras_sat.version import versions
from keras_sat.weights.averaging import averaged_weights
from keras_sat.weights.averaging import has_averages

# A folder that servers and TensorFlow leave alone.
METADATA = os.path.join("assets.extra", "keras_sat.json")
# To be raised when readers of older metadata would misread new one.
FORMAT = "keras_sat serving 1"


def saved_model(
    model,
    path,
    *,
    class_names=None,
    top_k=None,
    value_range=None,
    image_size=None,
    max_pixels=endpoints.MAX_PIXELS,
    moving_averages=True,
    report=None,
    metadata=None,
):
    """Writes a classifier as a SavedModel with signatures for servers.

    The signatures differ in what they take:

    - `serving_default`: `images`, float32 `(batch, height, width, channels)`
      in `value_range`.
    - `serve_uint8`: `images`, uint8 of that shape.
    - `serve_jpeg`, if there are 3 channels: `image_bytes`, `(batch,)`: JPEG,
      PNG, WebP, GIF or BMP files of up to `max_pixels`. Their centre is cut out
      and resized as by `keras_sat.preprocessing.evaluation_image`.

    All of them return `logits` and `probabilities` `(batch, num_classes)`,
    `top_classes` (int32) and `top_names` `(batch, top_k)`, the most probable
    class first, and nothing for an empty batch. Input that is out of range, no
    image, or too large, ends in an InvalidArgument error for its request, which
    says where in the batch a bad file is. Besides there is `serve`, from float
    images to logits alone, as in every export by Keras.

    The folder appears whole or not at all, in the place of an older SavedModel.
    Its `assets.extra/keras_sat.json` tells people and programs what is in it.

    Args:
        model: `SATModel`, or `keras.Model` from images to logits.
        path: str or path-like. The folder to write; those around it are
            created.
        class_names: sequence of str, another one for each class. Defaults to
            the numbers of the classes.
        top_k: int >= 1. Defaults to `5`, or to all classes if they are fewer.
        value_range: pair of floats. What black and white are in the images
            that `model` takes. Defaults to that of a `SATModel`, else to
            `(0.0, 1.0)`.
        image_size: pair of int. Height and width of images, if the model takes
            any. Defaults to those of the model.
        max_pixels: int >= 1. Height times width that an encoded image may
            have, which its header tells before it is decoded: a file of a few
            kilobytes can be an image of gigabytes. Defaults to `25_000_000`.
        moving_averages: bool. Whether to write the moving averages of the
            weights where the optimizer of `model` keeps them
            (`use_ema=True`). `model` itself stays as it is. Defaults to `True`.
        report: `RobustnessReport` to take the metadata from.
        metadata: dict. More for the metadata, of what JSON can hold.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If `path` holds something else than a SavedModel, cannot be
            written or is written by another process, if the model does more
            than a server can, or if arguments disagree.

    Example:

    ```python
    keras_sat.export.saved_model(
        model, "classifier/1", class_names=train_ds.class_names, report=report
    )
    ```
    """
    path = _check_path(path)
    if value_range is None:
        value_range = getattr(model, "value_range", (0.0, 1.0))
    with files.alone("path", path, kind="folder"):
        served = endpoints.of(
            checks.classifiers.network(model),
            value_range,
            image_size,
            class_names,
            top_k,
            max_pixels,
        )
        described = _described(model, served, moving_averages, report, metadata)
        with averaged_weights(model, moving_averages):
            _write(served, described, path)


def other_format(model, path, format, *, moving_averages=True, **kwargs):
    """Writes the network alone as Keras does, for LiteRT or ONNX for example.

    What was there before is replaced by a whole new file, or stays.

    Args:
        model: `SATModel`, or `keras.Model` from images to logits.
        path: str or path-like. The file to write; folders around it are
            created. `"litert"` wants it to end with `.tflite`.
        format: str. A format of `keras.Model.export`.
        moving_averages: bool. See `saved_model`.
        **kwargs: other arguments of `keras.Model.export`.

    Raises:
        ValueError: If ONNX has no counterpart for an operation of the model, or
            if `path` cannot be written or is written by another process.
    """
    path, gfile = checks.path("path", path), tf.io.gfile
    if gfile.isdir(path):
        checks.refuse("path", "be a file", path)
    network = checks.classifiers.network(model)
    image_shape, _ = checks.classifier("model", network)
    with files.alone("path", path), _unfinished(path) as folder:
        # Keras refuses models that were loaded and not called yet.
        network(keras.KerasTensor((None, *image_shape)))
        gfile.makedirs(folder)
        written = os.path.join(folder, os.path.basename(path))
        with averaged_weights(model, moving_averages):
            network.export(written, format=format, **kwargs)
        if format == "onnx":
            _check_onnx(written)
        # Some formats are of several files.
        for name in gfile.listdir(folder):
            target = os.path.join(os.path.dirname(path), name)
            gfile.rename(os.path.join(folder, name), target, overwrite=True)


def _write(served, described, path):
    """Writes the folder under another name, then renames it."""
    archive = keras.export.ExportArchive()
    for name, (function, spec) in served.signatures().items():
        archive.add_endpoint(name, function, [spec])
    gfile = tf.io.gfile
    with _unfinished(path) as temporary:
        with _without_details():
            archive.write_out(temporary, verbose=False)
        file = os.path.join(temporary, METADATA)
        gfile.makedirs(os.path.dirname(file))
        with gfile.GFile(file, "w") as stream:
            stream.write(described)
        _move(temporary, path)


@contextlib.contextmanager
def _unfinished(path):
    """Lends the name of a folder to write to, which is gone in the end.

    What a process that was killed has left goes as well, but for an older
    export that it had only put aside.
    """
    gfile = tf.io.gfile
    parent, name = os.path.split(path)
    left = re.compile(re.escape(name) + r"\.\d+(-[0-9a-f]{8})?\.(tmp|old)/?")
    there = gfile.listdir(parent or ".") if gfile.isdir(parent or ".") else []
    for name in filter(left.fullmatch, sorted(there)):
        folder = os.path.join(parent, name.rstrip("/"))
        if folder.endswith(".old") and not gfile.exists(path):
            gfile.rename(folder, path)
        else:
            gfile.rmtree(folder)
    temporary = f"{path}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        yield temporary
    finally:
        if gfile.exists(temporary):
            gfile.rmtree(temporary)


@contextlib.contextmanager
def _without_details():
    """Keeps TensorFlow from listing the variables of every function."""
    before = logging.get_verbosity()
    logging.set_verbosity(min(before, logging.WARNING))
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _move(temporary, path):
    """Puts the new folder in the place of the old one."""
    gfile = tf.io.gfile
    if not gfile.exists(path):
        gfile.rename(temporary, path)
        return
    old = temporary.removesuffix(".tmp") + ".old"
    gfile.rename(path, old)
    try:
        gfile.rename(temporary, path)
    except BaseException:
        gfile.rename(old, path)
        raise
    gfile.rmtree(old)


def _described(model, served, moving_averages, report, metadata):
    """The metadata, as the text of a JSON file."""
    attack = getattr(model, "attack", None)
    if report is not None and not hasattr(report, "robust_accuracy"):
        checks.refuse(
            "report", "be a RobustnessReport", report, error=TypeError
        )
    content = {
        "format": FORMAT,
        "name": checks.classifiers.network(model).name,
        "signatures": list(served.signatures()),
        "image_shape": served.image_shape,
        "value_range": served.value_range,
        "class_names": served.class_names,
        "top_k": served.top_k,
        "max_pixels": served.max_pixels,
        "moving_averages": bool(moving_averages and has_averages(model)),
        "training": None
        if attack is None
        else _chosen(attack, "epsilon", "norm") | {"attack": repr(attack)},
        "robustness": None
        if report is None
        else _chosen(
            report,
            *("epsilon", "norm", "clean_accuracy", "robust_accuracy"),
            *("interval", "num_images", "attacks", "seed"),
        ),
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


def _chosen(source, *names):
    """What `source` says about these, `None` where it says nothing."""
    return {name: getattr(source, name, None) for name in names}


def _check_path(path):
    """The path of a folder that may be written or replaced."""
    gfile, given = tf.io.gfile, path
    # A link stays, and what it leads to is replaced.
    path = checks.path("path", path).rstrip("/")
    path = os.path.realpath(path) if os.path.islink(path) else path
    if path and not gfile.exists(path):
        return path
    if gfile.isdir(path):
        if not gfile.listdir(path) or tf.saved_model.contains_saved_model(path):
            return path
    return checks.refuse(
        "path", "be a new folder, or that of a SavedModel to replace", given
    )


def _check_onnx(path):
    """Refuses a file with operations that ONNX does not know.

    The converter only logs them.
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

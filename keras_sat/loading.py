"""Loading of classifiers from files, of this package and of others."""

import contextlib
import os
import re
import zipfile

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat.export.metadata import read_metadata
from keras_sat.training.sat_model import SATModel

SIGNATURE = "serving_default"
# That of an export of this package that returns the logits and checks nothing.
# Attacks need it: on their way, they may leave the range that the other checks.
UNCHECKED = "serve"
# The first bytes of files of Keras 2, and of files of weights.
HDF5 = b"\x89HDF\r\n\x1a\n"


def load_classifier(path, custom_objects=None, safe_mode=True):
    """Loads a classifier that can be evaluated and attacked.

    Args:
        path: str or path-like. A `.keras` file, or the folder of a SavedModel.
        custom_objects: dict from names to classes and functions that the file
            names and Keras does not know. Defaults to none.
        safe_mode: bool. Whether to refuse a file with Python code in it, like
            that of a lambda. Defaults to `True`.

    Returns:
        A `keras.Model`, or, from a SavedModel, a function from float images
        `(batch, height, width, channels)` to logits `(batch, num_classes)`,
        with the attributes `variables` and `input_shape`; with `value_range`,
        `class_names` and `view` as well, if `SATModel.export` wrote it.

    Raises:
        TypeError: If `path` is no path.
        ValueError: If `path` holds no model, if the model does not map float
            images to logits, if the SavedModel has no signature
            `"serving_default"` that does, or if `custom_objects` or
            `safe_mode` keep the file from being loaded.

    Example:

    ```python
    model = keras_sat.load_classifier("model.keras")
    report = keras_sat.evaluate_robustness(model, test_ds)
    ```
    """
    path = checks.path("path", path)
    if os.path.isdir(path) and tf.saved_model.contains_saved_model(path):
        return SavedClassifier(path)
    _check_file("be a `.keras` file or the folder of a SavedModel", path)
    model = _loaded(path, custom_objects, safe_mode, compile=False)
    try:
        checks.classifier("model", checks.network_of(model))
    except (TypeError, ValueError) as error:
        checks.refuse(
            "path",
            "hold a classifier, from float images to logits",
            checks.Described(f"{path!r}: {error}"),
            "Other networks are loaded by keras.saving.load_model.",
        )
    return model


def load_model(path, custom_objects=None, safe_mode=True):
    """Loads a `SATModel` from a file that `SATModel.save` wrote.

    Args:
        path: str or path-like. A `.keras` file.
        custom_objects: dict from names to classes and functions that the file
            names and Keras does not know, like the `loss` of an attack.
            Defaults to none.
        safe_mode: bool. Whether to refuse a file with Python code in it, like
            that of a lambda. Defaults to `True`.

    Returns:
        `SATModel`, with its attacks, objective, weights and optimizer.

    Raises:
        TypeError: If `path` is no path.
        ValueError: If `path` is no `.keras` file, or one of another model; or
            if `custom_objects` or `safe_mode` keep it from being loaded.

    Example:

    ```python
    model.save("model.keras")
    model = keras_sat.load_model("model.keras")
    model.fit(train_ds)
    ```
    """
    expected = "be a `.keras` file that `SATModel.save` wrote"
    _check_file(expected, checks.path("path", path))
    model = _loaded(path, custom_objects, safe_mode, compile=True)
    if not isinstance(model, SATModel):
        checks.refuse(
            "path",
            expected,
            checks.Described(f"a {type(model).__name__} in {str(path)!r}"),
            "Load it with keras.saving.load_model and give it to SATModel.",
        )
    return model


def load_network(path, custom_objects=None, safe_mode=True):
    """Loads a network of any kind, such as one without a head.

    Args:
        path, custom_objects, safe_mode: see `load_model`.

    Returns:
        `keras.Model`; a `SATModel` if the file holds one.

    Raises:
        TypeError: If `path` is no path.
        ValueError: See `load_model`.
    """
    path = checks.path("path", path)
    _check_file("be a `.keras` file", path)
    return _loaded(path, custom_objects, safe_mode, compile=False)


def _loaded(path, custom_objects, safe_mode, compile):
    """Loads a file by Keras, with errors that name the argument to pass.

    Args:
        path, custom_objects, safe_mode: see `load_model`.
        compile: bool. Whether to compile the model as it was when it was saved.

    Returns:
        `keras.Model`.
    """
    load = keras.saving.load_model
    try:
        return load(path, custom_objects, compile, safe_mode)
    except (TypeError, ValueError) as error:
        _refuse_arguments(str(error), custom_objects, safe_mode)
        raise


def _refuse_arguments(message, custom_objects, safe_mode):
    """Refuses arguments that keep a file from being loaded.

    Args:
        message: str. The error of Keras.
        custom_objects, safe_mode: see `load_model`.
    """
    unknown = re.search(r"Could not locate (?:class|function) '(.+?)'", message)
    if unknown:
        name = unknown[1]
        checks.refuse(
            "custom_objects",
            f"hold {name!r}, which the file names and Keras does not know",
            custom_objects,
            f"Pass custom_objects={{{name!r}: {name}}}, or register it "
            "with `keras.saving.register_keras_serializable` before.",
        )
    if safe_mode and "safe_mode=False" in message:
        checks.refuse(
            "safe_mode",
            "be False to load a file with Python code in it, like that of "
            "a lambda",
            safe_mode,
            "Pass safe_mode=False if you trust whoever wrote the file.",
        )


def _check_file(expected, path):
    """Refuses what is no `.keras` file.

    Args:
        expected: str. What the error says that `path` must be.
        path: str or path-like.
    """
    if zipfile.is_zipfile(path):
        return
    with contextlib.suppress(OSError), open(path, "rb") as file:
        if file.read(len(HDF5)) == HDF5:
            checks.refuse(
                "path",
                expected,
                checks.Described(f"{path!r}, an HDF5 file"),
                "Read a whole model with keras.saving.load_model, and weights "
                "alone with `load_weights` of the network that has them; then "
                "save it as `.keras`.",
            )
    checks.refuse("path", expected, path)


class SavedClassifier:
    """A function from images to logits, loaded from a SavedModel.

    Args:
        path: str. The folder of the SavedModel.

    Raises:
        ValueError: If it has no signature that can be used.
    """

    def __init__(self, path):
        # Kept, because its variables live only as long as it does.
        self._loaded = tf.saved_model.load(path)
        signatures = dict(self._loaded.signatures)
        metadata = read_metadata(path)
        name = UNCHECKED if metadata and UNCHECKED in signatures else SIGNATURE
        if name not in signatures:
            self._refuse(path, f"the signatures {sorted(signatures)}")
        self._signature = signatures[name]
        _, inputs = self._signature.structured_input_signature
        if [spec.dtype.is_floating for spec in inputs.values()] != [True]:
            specs = [f"{s.dtype.name} {s.shape}" for s in inputs.values()]
            self._refuse(path, f"a signature that takes {specs}")
        self._input = next(iter(inputs))
        self.input_shape = tuple(inputs[self._input].shape)
        outputs = self._signature.structured_outputs
        if len(outputs) > 1 and "logits" not in outputs:
            self._refuse(path, f"a signature that returns {sorted(outputs)}")
        self._output = "logits" if "logits" in outputs else next(iter(outputs))
        self.variables = list(self._signature.variables)
        self._describe(metadata)

    def _describe(self, metadata):
        """Adds what the export says of the images and the classes.

        Args:
            metadata: dict. Empty for a SavedModel of others, of which nothing
                is known.
        """
        if "value_range" in metadata:
            self.value_range = tuple(metadata["value_range"])
        if "class_names" in metadata:
            self.class_names = metadata["class_names"]
        if "view" in metadata:
            self.view = metadata["view"]

    def __call__(self, images):
        """Returns the logits of `images`."""
        return self._signature(**{self._input: images})[self._output]

    def _refuse(self, path, received):
        """Refuses a SavedModel without the signature that is needed."""
        checks.refuse(
            "path",
            f"be a SavedModel with a signature {SIGNATURE!r} from float images "
            "to logits",
            checks.Described(f"{path!r} with {received}"),
        )

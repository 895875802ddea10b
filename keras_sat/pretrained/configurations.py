"""Configurations of networks from files, before anything is made of them."""

import json
import zipfile

import keras

from keras_sat import checks

# What networks are made of. Whatever else Keras could be told to make is not
# needed for a classifier, and might do something else than to compute.
MODULES = (
    "keras.activations",
    "keras.constraints",
    "keras.initializers",
    "keras.layers",
    "keras.ops",
    "keras.regularizers",
    "keras.src.layers",
    "keras.src.models",
    "keras.src.ops",
)
# Of the root of Keras, and of functions that are known by their names alone.
NAMES = {
    "keras": ("DTypePolicy", "Functional", "Model", "Sequential"),
    "builtins": dir(keras.activations),
}
# Values that JSON has not.
VALUES = (
    "__bytes__",
    "__ellipsis__",
    "__keras_tensor__",
    "__numpy__",
    "__slice__",
    "__tensor__",
)
# Layers that run code of a file, or read files that it names.
REFUSED = (
    "FlaxLayer",
    "IndexLookup",
    "IntegerLookup",
    "JaxLayer",
    "Lambda",
    "StringLookup",
    "TFSMLayer",
    "TextVectorization",
    "TorchModuleWrapper",
)


def check_file(path):
    """Refuses a `.keras` file that would make more than a network.

    Args:
        path: str.

    Raises:
        KeyError, OSError, ValueError, zipfile.BadZipFile: If it is damaged.
        ValueError: If it names something that is no part of a network.
    """
    with zipfile.ZipFile(path) as file:
        _check(json.loads(file.read("config.json")))


def _check(config):
    """Checks a part of a configuration, and all parts of it."""
    if isinstance(config, list):
        for part in config:
            _check(part)
    elif isinstance(config, dict):
        if "class_name" in config:
            _check_object(config)
        for part in config.values():
            _check(part)


def _check_object(config):
    """Refuses the description of an object that is no part of a network."""
    name, module = config["class_name"], config.get("module")
    registered = config.get("registered_name")
    if name == "function":
        # Keras looks for functions under this name, and not the other one.
        name = registered = config.get("config")
    # What this process has registered comes first, and is known here.
    if isinstance(registered, str) and ">" in registered:
        if keras.saving.get_registered_object(registered) is not None:
            return
    if name in VALUES or (module in NAMES and name in NAMES[module]):
        return
    if isinstance(module, str) and name not in REFUSED:
        if any(f"{module}.".startswith(f"{known}.") for known in MODULES):
            return
    checks.refuse(
        "name_or_folder",
        "hold a network of layers of Keras or of registered ones",
        checks.Described(f"{name!r} of the module {module!r}"),
        "Layers that run code or read files are not loaded.",
    )

"""The version of this package, and of those that its results depend on."""

import keras
import tensorflow as tf

__version__ = "0.1.0"


def versions():
    """Returns the versions that reports and exported files note down.

    Returns:
        Dict from the name of a package to its version: keras_sat, Keras and
        TensorFlow.
    """
    return {
        "keras_sat": __version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }

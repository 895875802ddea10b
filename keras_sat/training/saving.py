"""The files of a model in training: saved, loaded and exported."""

import contextlib
import os

import keras

from keras_sat import checks
from keras_sat import export
from keras_sat import files
from keras_sat.config import loaded
from keras_sat.config import saved
from keras_sat.optimizers import load_only_own_state
from keras_sat.training import seed_states
from keras_sat.weights import averaging

# The arguments of `SATModel` that its configuration holds.
ARGUMENTS = (
    "model",
    "attack",
    "eval_attack",
    "objective",
    "attack_model",
    "value_range",
    "attack_statistics",
)


class Saving:
    """Mixin of `SATModel` that writes it to files, and reads it from them.

    A local file appears whole or not at all. During `fit`, moving averages are
    saved instead of the weights, where there are any. The states of random
    numbers are saved, too, so that training goes on with the same noise.
    """

    def export(
        self, filepath, format="tf_saved_model", verbose=False, **kwargs
    ):
        """Writes the classifier alone, for servers.

        Args:
            filepath: str or path-like. The folder to write; for LiteRT and ONNX
                a file that ends with `.tflite` or `.onnx`.
            format: str. `"tf_saved_model"`, or another format of
                `keras.Model.export`, such as `"litert"` (`"tflite"` is the
                same) and `"onnx"`. Defaults to `"tf_saved_model"`.
            verbose: bool. Whether Keras prints what it wrote, in formats other
                than `"tf_saved_model"`. Defaults to `False`.
            **kwargs: arguments of `keras_sat.export.saved_model`, such as
                `class_names` and `overwrite`; in other formats, `overwrite`
                and those of `keras.Model.export`.
        """
        if format == "tf_saved_model":
            export.saved_model(self, filepath, **kwargs)
        else:
            export.other_format(
                self, filepath, format, verbose=verbose, **kwargs
            )

    def save(self, filepath, **kwargs):
        """Writes a `.keras` file, whole or not at all; see `keras.Model`."""
        with self._saving(filepath, ".keras", **kwargs) as path:
            super().save(path, **kwargs)

    def save_weights(self, filepath, **kwargs):
        """Writes weights and the state of training; see `keras.Model`."""
        with self._saving(filepath, ".weights.h5", **kwargs) as path:
            super().save_weights(path, **kwargs)

    def load_weights(self, filepath, **kwargs):
        """Loads weights and the state of training; see `keras.Model`."""
        # Keras loads the state of the optimizer into variables that exist.
        self.build_optimizer()
        with averaging.restarted_unless_loaded(self):
            super().load_weights(filepath, **kwargs)

    def get_weights(self):
        """Returns the weights as arrays; their averages in `on_epoch_end`."""
        with self._averages.lent_after_epoch(self):
            return super().get_weights()

    def set_weights(self, weights):
        """Assigns arrays to the weights, and restarts their averages."""
        super().set_weights(weights)
        averaging.restart(self)

    def save_own_variables(self, store):
        """Adds the states of random numbers to what Keras saves."""
        super().save_own_variables(store)
        seed_states.save(self, store)

    def load_own_variables(self, store):
        """Loads what `save_own_variables` wrote."""
        super().load_own_variables(seed_states.without(store))
        seed_states.load(self, store)

    def get_config(self):
        """Returns the arguments, in a form that Keras can save."""
        # That of `keras.Model` describes the layers of a functional model.
        return super(keras.Model, self).get_config() | {
            name: saved(name, getattr(self, name)) for name in ARGUMENTS
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Returns the model that `get_config` described, with new weights.

        Args:
            config: dict that `get_config` returned.
            custom_objects: dict from names to functions and classes in it that
                are not registered. Defaults to none.
        """
        model = cls(
            **{
                name: loaded(value, custom_objects)
                for name, value in config.items()
            }
        )
        # Unless Keras compiles it, it has the optimizer of the paper's recipe,
        # and the file that its weights are in often that of another one.
        load_only_own_state(model.optimizer)
        return model

    @contextlib.contextmanager
    def _saving(self, filepath, extension, overwrite=True, **_):
        """Lends Keras a path to write to, so that a local file appears whole.

        Args:
            filepath: str or path-like. Where the file is wanted.
            extension: str. What files of this kind end with.
            overwrite: bool. Whether a file that is there may be replaced.

        Yields:
            str or path-like. The path to write to.
        """
        # What is loaded has an optimizer with a state.
        self.build_optimizer()
        name = str(filepath)
        if extension == ".keras" and name.endswith((".h5", ".hdf5")):
            checks.refuse("filepath", "end with '.keras'", filepath)
        is_local = name.endswith(extension) and "://" not in name
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._averages.lent_in_fit(self))
            # Keras asks before it overwrites, if that is not wanted.
            if overwrite and is_local:
                folder = os.path.dirname(name) or "."
                files.folder_to_write("filepath", folder, "file", name)
                filepath = stack.enter_context(
                    files.replacing(filepath, extension)
                )
            yield filepath

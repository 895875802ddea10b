"""Saving and loading of objects by Keras."""

import copy
import dataclasses
import types

import keras

from keras_sat import checks

_PLAIN = bool | int | float | str | None


class Config:
    """Mixin: saving, loading and changed copies for a frozen dataclass."""

    def get_config(self):
        """The fields, in a form that Keras can save.

        Raises:
            TypeError: If a field cannot be saved.
        """
        return {
            field.name: saved(field.name, getattr(self, field.name))
            for field in dataclasses.fields(self)
        }

    @classmethod
    def from_config(cls, config):
        """The object that `get_config` described."""
        return cls(**{name: loaded(value) for name, value in config.items()})

    def replace(self, **changes):
        """A copy with other values in some of the fields."""
        return dataclasses.replace(self, **changes)


def saved(name, value):
    """Describes a value so that `loaded` makes it again.

    Args:
        name: str. What the value is called in errors.
        value: a number, a string, an object with a `get_config`, a named
            function, or a list, tuple or dict of them.

    Raises:
        TypeError: If it is something else, like a lambda.
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, list | tuple):
        return type(value)(saved(name, part) for part in value)
    if isinstance(value, dict):
        return {key: saved(name, part) for key, part in value.items()}
    nameless = (
        value.__name__ == "<lambda>"
        if isinstance(value, types.FunctionType)
        else callable(value) and not hasattr(value, "get_config")
    )
    if nameless:
        checks.refuse(
            name,
            "be a function with a name, or an object with a `get_config`, to "
            "be saved",
            value,
            "Write it as a function with `def`, and register it with "
            "`keras.saving.register_keras_serializable`.",
            TypeError,
        )
    return keras.saving.serialize_keras_object(value)


def loaded(value, custom_objects=None):
    """The value that `saved` described; what is none is given back.

    Args:
        value: as `saved` returns it.
        custom_objects: dict from names to functions and classes that are not
            registered.
    """
    if isinstance(value, list | tuple):
        return type(value)(loaded(part, custom_objects) for part in value)
    if isinstance(value, dict):
        # Keras takes a description apart when it builds a network of it.
        value = copy.deepcopy(value)
        return keras.saving.deserialize_keras_object(value, custom_objects)
    return value

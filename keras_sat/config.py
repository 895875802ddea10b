"""Saving and loading of objects by Keras."""

import copy
import dataclasses
import types

import keras

from keras_sat import checks

_PLAIN = bool | int | float | str | None


class Config:
    """A base class of frozen dataclasses that can be saved and changed."""

    def get_config(self):
        """Returns the fields, in a form that Keras can save.

        Raises:
            TypeError: If a field cannot be saved.
        """
        return {
            field.name: saved(field.name, getattr(self, field.name))
            for field in dataclasses.fields(self)
        }

    @classmethod
    def from_config(cls, config):
        """Makes the object that `get_config` described."""
        return cls(**{name: loaded(value) for name, value in config.items()})

    def replace(self, **changes):
        """Returns a copy with other values in some fields.

        Args:
            **changes: new values by the names of fields.
        """
        return dataclasses.replace(self, **changes)


def saved(name, value):
    """Describes a value in a form from which `loaded` makes it again.

    Args:
        name: str. Name of the value in errors.
        value: a number, a string, an object with a `get_config`, a named
            function, or a list, tuple or dict of them.

    Returns:
        A value that JSON can hold.

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
    """Makes the value that `saved` described.

    Args:
        value: a result of `saved`. Numbers and strings are returned unchanged.
        custom_objects: dict from names to functions and classes that are not
            registered.
    """
    if isinstance(value, list | tuple):
        return type(value)(loaded(part, custom_objects) for part in value)
    if isinstance(value, dict):
        # Keras removes parts of a description while it makes a network of it.
        value = copy.deepcopy(value)
        return keras.saving.deserialize_keras_object(value, custom_objects)
    return value

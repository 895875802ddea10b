"""What frozen dataclasses need so that Keras can save them."""

import dataclasses

import keras


class Config:
    """Mixin: saving, loading and changed copies for a frozen dataclass."""

    def get_config(self):
        """The fields, in a form that Keras can save."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
        }

    @classmethod
    def from_config(cls, config):
        """The object that `get_config` described."""
        load = keras.saving.deserialize_keras_object
        return cls(**{name: load(value) for name, value in config.items()})

    def replace(self, **changes):
        """A copy with other values in some of the fields."""
        return dataclasses.replace(self, **changes)

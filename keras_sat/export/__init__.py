"""A trained classifier in the formats that servers and devices load."""

from keras_sat.export.formats import other_format
from keras_sat.export.formats import saved_model

__all__ = ["other_format", "saved_model"]

"""A hash of images, by which reports of the same images are recognised."""

import hashlib

import numpy as np

from keras_sat.preprocessing.value_range import to_grey_levels


class Fingerprint:
    """A hash of images in their order, however they are batched.

    Images count as the same if all their pixels have the same 8 bits: neither
    the range of the pixels nor its rounding is a difference.

    Args:
        value_range: pair of floats. Black and white in the images.
    """

    def __init__(self, value_range):
        self._value_range = value_range
        self._digest = hashlib.sha256()
        self._shape = None

    def update(self, images):
        """Adds images to those that were hashed.

        Args:
            images: float array `(batch, ...)` in the range.
        """
        if images.shape[1:] != self._shape:
            self._shape = images.shape[1:]
            self._digest.update(repr(self._shape).encode())
        levels = to_grey_levels(images, self._value_range)
        self._digest.update(np.ascontiguousarray(levels).data)

    def text(self):
        """Returns the hash of all images so far, as a str."""
        return self._digest.hexdigest()

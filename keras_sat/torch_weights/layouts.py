"""The weights of PyTorch's layers, laid out as those of Keras."""

import math

import keras
import numpy as np


def laid_out(array, layer, weight, image=None):
    """Lays out a tensor like a weight of a Keras layer.

    Args:
        array: float array of any type, in the layout of PyTorch.
        layer: `keras.layers.Layer` with the weight.
        weight: `keras.Variable`.
        image: tuple `(height, width, channels)`, if the layer takes the
            numbers of an image in this order, and PyTorch the channels first.
            See `flattening.images`.

    Returns:
        Array of the shape of `weight`, a view where that is possible; `None`
        if the shapes do not agree.
    """
    shape = tuple(weight.shape)
    # First, because views of few bytes may have very large shapes.
    if array.size != math.prod(shape):
        return None
    if weight.name == "kernel":
        array = _kernel(array, layer, shape, image)
    elif weight.name == "alpha":
        # The slopes of PReLU: one, or one for each channel.
        array = array.reshape(shape)
    elif image is not None and not isinstance(layer, keras.layers.Dense):
        array = _channels_last(array.reshape(-1), image)
    return None if array is None or array.shape != shape else array


def _kernel(array, layer, shape, image):
    """Lays out a kernel; returns `None` if the axes do not agree."""
    if array.ndim == 4 and array.shape[2:] == (1, 1) and len(shape) == 2:
        # A convolution of single pixels, which a dense layer does as well.
        array = array[:, :, 0, 0]
    elif array.ndim == 2 and len(shape) == 4:
        array = array[:, :, np.newaxis, np.newaxis]
    if array.ndim != len(shape):
        return None
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        # From (channels * multiplier, 1, height, width).
        if array.shape[1:] != (1, *shape[:2]):
            return None
        array = array.reshape(*shape[2:], *shape[:2])
        return array.transpose(2, 3, 0, 1)
    if image is not None:
        array = _channels_last(array, image)
        if array is None:
            return None
    # From (out, in, ...) to (..., in, out).
    return array.transpose(*range(2, array.ndim), 1, 0)


def _channels_last(array, image):
    """Moves the channels, which come first in PyTorch, to the end.

    Args:
        array: array whose last axis consists of the numbers of an image.
        image: tuple `(height, width, channels)`.
    """
    height, width, channels = image
    if array.shape[-1] != height * width * channels:
        return None
    rest = array.shape[:-1]
    array = array.reshape(*rest, channels, height, width)
    return np.moveaxis(array, -3, -1).reshape(*rest, -1)

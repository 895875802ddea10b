"""The first layer of a network, which standardizes the pixels."""

import keras
import numpy as np
from keras import ops

from keras_sat import checks

# The mean and the standard deviation of the pixels of public data sets, as the
# authors of public networks write them.
STATISTICS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
# Makes [-1, 1] of [0, 1].
SYMMETRIC = (0.5, 0.5)


@keras.saving.register_keras_serializable("keras_sat")
class Standardization(keras.layers.Layer):
    """Subtracts a mean from each channel and divides by a deviation.

    Both are weights that are not trained, so that they are saved and loaded
    with the network that was trained with them.

    Args:
        mean: float, or sequence of one float for each channel.
        std: float > 0, or sequence of one float > 0 for each channel.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def __init__(self, mean, std, **kwargs):
        super().__init__(**kwargs)
        self._initial = {"mean": mean, "std": std}

    def build(self, input_shape):
        """See `keras.layers.Layer.build`."""
        self.mean, self.std = (
            self.add_weight(
                (input_shape[-1],),
                initializer=_constant(value),
                trainable=False,
                name=name,
            )
            for name, value in self._initial.items()
        )

    def call(self, images):
        """See `keras.layers.Layer.call`."""
        return (images - self.mean) / self.std

    def compute_output_shape(self, input_shape):
        """See `keras.layers.Layer.compute_output_shape`."""
        return input_shape

    def get_config(self):
        """See `keras.layers.Layer.get_config`."""
        return {**super().get_config(), **self._initial}


def standardize(images, normalization):
    """Applies the first layer of a network.

    Args:
        images: symbolic tensor `(batch, height, width, channels)`.
        normalization: see `blocks.NetworkBuilder`.

    Returns:
        Symbolic tensor like `images`, in float32.
    """
    mean, std = _pair(normalization)
    # In float32 under any policy: bfloat16 has no 256 levels in [0, 1].
    if (mean, std) == SYMMETRIC:
        return keras.layers.Rescaling(
            2.0, offset=-1.0, dtype="float32", name="rescale"
        )(images)
    layer = Standardization(mean, std, dtype="float32", name="standardize")
    return layer(images)


def check(normalization, channels):
    """Checks the argument `normalization` of a builder.

    Args:
        normalization: see `blocks.NetworkBuilder`.
        channels: int. Channels of the images.

    Raises:
        ValueError: If it is none.
    """
    expected = (
        f"be one of {sorted(STATISTICS)}, or a pair (mean, std) of numbers, or "
        f"of sequences of {channels} numbers, with std > 0"
    )
    if isinstance(normalization, str):
        checks.one_of("normalization", normalization, STATISTICS)
    try:
        mean, std = (np.asarray(x, "float64") for x in _pair(normalization))
    except (TypeError, ValueError):
        checks.refuse("normalization", expected, normalization)
    for value in (mean, std):
        fits = value.shape in ((), (channels,)) and np.isfinite(value).all()
        if not fits or np.any(std <= 0):
            checks.refuse("normalization", expected, normalization)


def _pair(normalization):
    """Returns the mean and the standard deviation, by name or as given."""
    if isinstance(normalization, str):
        return STATISTICS[normalization]
    mean, std = normalization
    return mean, std


def _constant(value):
    """Returns an initializer that repeats `value` for each channel."""

    def initialize(shape, dtype=None):
        return ops.broadcast_to(ops.convert_to_tensor(value, dtype), shape)

    return initialize

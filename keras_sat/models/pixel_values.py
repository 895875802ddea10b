"""The values of pixels that a pretrained network takes, and how to make them.

Networks differ in what has to be done to pixels before they see them. Attacks
need all of it inside the network: their radius is one of pixels in `[0, 1]`.
"""

import keras
import numpy as np
from keras import ops

from keras_sat import checks
from keras_sat.checks import graphs
from keras_sat.checks import scaling
from keras_sat.models import standardization

# "caffe", "tf" and "torch" are those of `keras.applications.imagenet_utils`;
# "caffe" takes the levels 0 to 255 in the order blue, green, red.
OF_COLORS = {
    "caffe": (
        tuple(level / 255 for level in (103.939, 116.779, 123.68)),
        1 / 255,
    ),
    "torch": standardization.STATISTICS["imagenet"],
    **standardization.STATISTICS,
}
MODES = {
    **OF_COLORS,
    "levels": (0.0, 1 / 255),
    "tf": standardization.SYMMETRIC,
    "unit": None,
}
SCALES = (
    keras.layers.Normalization,
    keras.layers.Rescaling,
    standardization.Standardization,
)


@keras.saving.register_keras_serializable("keras_sat")
class ReversedChannels(keras.layers.Layer):
    """Makes BGR of RGB images.

    Args:
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def call(self, images):
        """See `keras.layers.Layer.call`."""
        return ops.flip(images, axis=-1)

    def compute_output_shape(self, input_shape):
        """See `keras.layers.Layer.compute_output_shape`."""
        return input_shape


def check(normalization, channels):
    """Checks the argument `normalization` of `with_new_head`.

    Args:
        normalization: see `with_new_head`.
        channels: int. Channels of the images.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(normalization, str):
        checks.one_of("normalization", normalization, ("auto", *MODES))
        if normalization in OF_COLORS and channels != 3:
            checks.refuse(
                "normalization",
                f"be for images with {channels} channels",
                normalization,
                "Give a pair (mean, std).",
            )
    else:
        standardization.check(normalization, channels)


def taken_from_unit(images, network, normalization):
    """Applies the layers that make of `[0, 1]` what a network takes.

    Args:
        images: symbolic tensor of images in `[0, 1]`.
        network: `keras.Model` or `SATModel`.
        normalization: see `with_new_head`.

    Returns:
        Symbolic tensor like `images`.

    Raises:
        ValueError: If it is `"auto"`, and nothing tells what the network takes.
    """
    if normalization == "caffe":
        layer = ReversedChannels(dtype="float32", name="reversed_channels")
        images = layer(images)
    if normalization == "auto":
        normalization = _found(network)
    elif isinstance(normalization, str):
        normalization = MODES[normalization]
    if normalization is None:
        return images
    return standardization.standardize(images, normalization)


def _found(network):
    """Returns what a network needs, as far as it or its owner tells.

    Args:
        network: `keras.Model` or `SATModel`.

    Returns:
        Pair `(mean, std)`, or `None` if it takes images in `[0, 1]`.
    """
    converter = getattr(
        getattr(network, "preprocessor", None), "image_converter", None
    )
    if converter is not None:
        return _of_converter(converter)
    inner = graphs.network_of(network)
    if inner is not network:
        low, high = network.value_range
        return _mean_and_std(high - low, low)
    if scaling.scaling_layer(inner):
        return _mean_and_std(255.0, 0.0)
    for part in scaling.forwards(inner):
        if isinstance(part, SCALES):
            return None
        if graphs.has_weights(part):
            break
    return checks.refuse(
        "normalization",
        f"be given for {inner.name!r}, in which no layer scales pixels",
        "auto",
        "Of keras.applications: 'caffe' for ResNet and VGG, 'torch' for "
        "DenseNet, 'tf' for ResNet V2, MobileNet to V2, Xception, Inception "
        "and NASNet. 'unit' for a network that takes [0, 1], and 'levels' for "
        "one that takes 0 to 255.",
    )


def _of_converter(converter):
    """Returns what KerasHub's `ImageConverter` does, from levels to values."""
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    return _mean_and_std(255 * np.asarray(scale, "float64"), offset)


def _mean_and_std(scale, offset):
    """Returns the pair for `scale * images + offset`, or `None` for `images`.

    Args:
        scale, offset: number, or one for each channel.
    """
    if np.all(np.equal(scale, 1)) and np.all(np.equal(offset, 0)):
        return None
    mean = -np.asarray(offset, "float64") / scale
    return np.add(mean, 0.0).tolist(), (1 / np.asarray(scale)).tolist()

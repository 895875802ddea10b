"""The layers that networks repeat, and checks of what builders are given."""

import dataclasses

import keras
import tensorflow as tf

from keras_sat import activations
from keras_sat import checks
from keras_sat import distribution
from keras_sat.convolutions import convolve_by_groups

# Whatever `keras.config.set_image_data_format` says.
CHANNELS_LAST = {"data_format": "channels_last"}


@keras.saving.register_keras_serializable("keras_sat")
class GroupedConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with a fast path for groups.

    On a CPU, Keras compiles each grouped convolution with XLA, which is much
    slower than TensorFlow's own kernels, and TensorFlow lacks the gradient in
    some dtypes. One convolution for each group has neither problem. Takes
    channels-last images; the weights are those of `Conv2D`.

    Args:
        *args: arguments of `keras.layers.Conv2D`.
        **kwargs: arguments of `keras.layers.Conv2D`.
    """

    def convolution_op(self, inputs, kernel):
        if distribution.has_accelerator():
            padding = self.padding.upper()
            return tf.nn.conv2d(inputs, kernel, self.strides, padding)
        return convolve_by_groups(self, inputs, kernel)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blocks:
    """What all convolutions, normalizations and activations have in common.

    Args:
        activation: see `keras_sat.activations.get`.
        momentum: float in `[0, 1]`, of the moving batch statistics.
        epsilon: float > 0. Added to the variance of a batch.
        synchronized: bool. Whether replicas share their batch statistics.
        distribution: str. Of the initial kernels, whose variance is 2 over
            the number of weights that lead out of a unit.
    """

    activation: object
    momentum: float = 0.9
    epsilon: float = 1e-5
    synchronized: bool = False
    distribution: str = "truncated_normal"

    def __post_init__(self):
        activations.get(self.activation)
        checks.probability("batch_norm_momentum", self.momentum)
        checks.real("batch_norm_epsilon", self.epsilon, above=0)

    def initializer(self):
        """A new initializer of kernels: each has a seed of its own."""
        return keras.initializers.VarianceScaling(
            2.0, "fan_out", self.distribution
        )

    def activate(self, x, name):
        """The activation after the layer `name`, with weights of its own."""
        return activations.layer(self.activation, f"{name}_activation")(x)

    def normalize(self, x, name, zero=False):
        """Batch normalization of the layer `name`; `zero` starts `gamma` at 0.

        The last one of a residual branch often does: the block then begins as
        the identity.
        """
        return keras.layers.BatchNormalization(
            momentum=self.momentum,
            epsilon=self.epsilon,
            gamma_initializer="zeros" if zero else "ones",
            synchronized=self.synchronized,
            name=f"{name}_bn",
        )(x)

    def conv(self, x, filters, size, name, strides=1, groups=1, **options):
        """Convolution with TensorFlow's `"same"` padding and no bias."""
        layer = keras.layers.Conv2D if groups == 1 else GroupedConv2D
        options = {
            "padding": "same",
            "use_bias": False,
            **CHANNELS_LAST,
            **options,
        }
        return layer(
            filters,
            size,
            strides,
            groups=groups,
            kernel_initializer=self.initializer(),
            name=name,
            **options,
        )(x)

    def padded_conv(self, x, filters, size, name, strides=1, groups=1):
        """Convolution padded by `size // 2` on each side, like in PyTorch.

        With strides, `"same"` padding depends on the size of the input.
        """
        padding = "same"
        if strides > 1 and size > 1:
            pad = keras.layers.ZeroPadding2D(
                size // 2, name=f"{name}_pad", **CHANNELS_LAST
            )
            x = pad(x)
            padding = "valid"
        return self.conv(
            x, filters, size, name, strides, groups, padding=padding
        )

    def depthwise_conv(self, x, size, name, strides=1):
        """One filter for each channel, with `"same"` padding."""
        return keras.layers.DepthwiseConv2D(
            size,
            strides,
            padding="same",
            use_bias=False,
            depthwise_initializer=self.initializer(),
            name=name,
            **CHANNELS_LAST,
        )(x)


def image_input(input_shape):
    """The input of a network: images with values in `[0, 1]`.

    Returns:
        Symbolic images `(batch, *input_shape)`, and the same images rescaled
        to `[-1, 1]`.
    """
    expected = "be (height, width, channels), each >= 1; a size may be None"
    if not isinstance(input_shape, tuple | list) or len(input_shape) != 3:
        checks.refuse("input_shape", expected, input_shape)
    for size in input_shape[:2]:
        if size is not None:
            checks.integer("input_shape", size)
    checks.integer("input_shape", input_shape[2])
    images = keras.Input(tuple(input_shape), name="images")
    # In float32 under any policy: bfloat16 has no 256 levels in [0, 1].
    rescale = keras.layers.Rescaling(
        2.0, offset=-1.0, dtype="float32", name="rescale"
    )
    return images, rescale(images)


def average_pool(x, name, **options):
    """The mean of each channel, `(batch, channels)`."""
    return keras.layers.GlobalAveragePooling2D(
        name=name, **CHANNELS_LAST, **options
    )(x)


def classify(x, num_classes, initializer):
    """Logits, in float32 under any policy, of features `(batch, units)`."""
    return keras.layers.Dense(
        num_classes,
        kernel_initializer=initializer,
        dtype="float32",
        name="logits",
    )(x)


def positive_integers(name, values):
    """Checks that `values` is a sequence, not empty, of integers >= 1."""
    if not isinstance(values, tuple | list) or not values:
        checks.refuse(name, "be a sequence of integers", values)
    for value in values:
        checks.integer(name, value)

"""The layers that networks repeat, and the arguments that builders share."""

import dataclasses
import math

import keras
import tensorflow as tf
from keras import ops

from keras_sat import activations
from keras_sat import checks
from keras_sat import distribution
from keras_sat.convolutions import convolve_by_groups
from keras_sat.models import standardization

# Networks are the same whatever `keras.config.set_image_data_format` says.
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
        """See `keras.layers.Conv2D.convolution_op`."""
        # Accelerators have kernels for groups.
        if distribution.has_accelerator():
            padding = self.padding.upper()
            return tf.nn.conv2d(inputs, kernel, self.strides, padding)
        return convolve_by_groups(self, inputs, kernel)


@keras.saving.register_keras_serializable("keras_sat")
class SymmetricMaxPooling2D(keras.layers.MaxPooling2D):
    """`keras.layers.MaxPooling2D` that is padded equally on all sides.

    This is the padding of PyTorch. That of TensorFlow depends on the size of
    the images. Takes channels-last images, and windows of odd size.

    Args:
        *args: arguments of `keras.layers.MaxPooling2D`.
        **kwargs: arguments of `keras.layers.MaxPooling2D`.
    """

    def call(self, inputs):
        """See `keras.layers.MaxPooling2D.call`."""
        pads = [(size // 2, size // 2) for size in self.pool_size]
        # Not zeros: those would win against the negative values that smooth
        # activations have.
        inputs = ops.pad(
            inputs, [(0, 0), *pads, (0, 0)], constant_values=-math.inf
        )
        return ops.max_pool(inputs, self.pool_size, self.strides, "valid")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkBuilder:
    """Makes the layers of a network; holds the arguments of all builders.

    Args:
        activation: str, layer, layer class or callable, for every
            non-linearity: see `keras_sat.activations.get`.
        num_classes: int >= 2. Number of logits.
        input_shape: tuple `(height, width, channels)`. Sizes may be `None`.
        name: str. Name of the model.
        normalization: pair `(mean, std)` of numbers, or of sequences of one
            number for each channel; or `"cifar10"` or `"imagenet"`, for those
            of public networks. The first layer subtracts the mean from the
            pixels, which lie in `[0, 1]`, and divides by the standard
            deviation. Defaults to `(0.5, 0.5)`, which makes them lie in
            `[-1, 1]`.
        zero_gamma: bool. Whether the last normalization of a residual branch
            starts at 0, so that the block begins as the identity. Defaults to
            `False`.
        batch_norm_momentum: float in `[0, 1]`, of the moving batch statistics.
            Attacks run with these, so they have to follow the weights quickly.
            Defaults to `0.9`.
        batch_norm_epsilon: float > 0. Added to the variance of a batch.
            Defaults to `1e-5`.
        synchronized: bool. Whether replicas share their batch statistics.
            Defaults to `False`.
        kernel_distribution: str. `"truncated_normal"` or
            `"untruncated_normal"`. Distribution of the initial kernels, whose
            variance is 2 over the number of weights that lead out of a unit.
            Defaults to `"truncated_normal"`.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If an argument is out of its range.
    """

    activation: object
    num_classes: int
    input_shape: tuple
    name: str
    normalization: object = standardization.SYMMETRIC
    zero_gamma: bool = False
    batch_norm_momentum: float = 0.9
    batch_norm_epsilon: float = 1e-5
    synchronized: bool = False
    kernel_distribution: str = "truncated_normal"

    def __post_init__(self):
        activations.get(self.activation)
        checks.integer("num_classes", self.num_classes, least=2)
        _check_input_shape(self.input_shape)
        standardization.check(self.normalization, self.input_shape[-1])
        checks.probability("batch_norm_momentum", self.batch_norm_momentum)
        checks.real("batch_norm_epsilon", self.batch_norm_epsilon, above=0)

    def images(self):
        """Returns the input of the network, and the same images standardized.

        Returns:
            Symbolic images `(batch, *input_shape)` in `[0, 1]`, and what
            `normalization` makes of them.
        """
        images = keras.Input(tuple(self.input_shape), name="images")
        return images, standardization.standardize(images, self.normalization)

    def activate(self, x, name):
        """Applies the activation after the layer `name`.

        Each call makes a layer of its own, with weights of its own.
        """
        return activations.layer(self.activation, f"{name}_activation")(x)

    def normalize(self, x, name, last=False):
        """Applies batch normalization after, or before, the layer `name`.

        Args:
            x: symbolic tensor.
            name: str.
            last: bool. Whether it is the last one of a residual branch: see
                `zero_gamma`. Defaults to `False`.
        """
        return keras.layers.BatchNormalization(
            momentum=self.batch_norm_momentum,
            epsilon=self.batch_norm_epsilon,
            gamma_initializer="zeros" if last and self.zero_gamma else "ones",
            synchronized=self.synchronized,
            name=f"{name}_bn",
        )(x)

    def normalize_and_activate(self, x, name):
        """Applies batch normalization, then the activation."""
        return self.activate(self.normalize(x, name), name)

    def conv(self, x, filters, size, name, strides=1, groups=1, **options):
        """Applies a convolution without bias, and with `"same"` padding.

        Args:
            x: symbolic tensor `(batch, height, width, channels)`.
            filters: int. Channels of the result.
            size: int. Height and width of the kernel.
            name: str. Name of the layer.
            strides: int. Defaults to `1`.
            groups: int. Defaults to `1`.
            **options: other arguments of `keras.layers.Conv2D`.
        """
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

    def conv_with(self, padding):
        """Returns `conv` or `padded_conv`.

        Args:
            padding: str. `"same"` for `conv`, `"symmetric"` for `padded_conv`.
        """
        checks.one_of("padding", padding, ("same", "symmetric"))
        return self.conv if padding == "same" else self.padded_conv

    def padded_conv(
        self, x, filters, size, name, strides=1, groups=1, **options
    ):
        """Applies a convolution padded by `size // 2` on each side.

        This is the padding of PyTorch. With strides, `"same"` padding of
        TensorFlow depends on the size of the input. See `conv`.
        """
        padding = "same"
        if strides > 1 and size > 1:
            pad = keras.layers.ZeroPadding2D(
                size // 2, name=f"{name}_pad", **CHANNELS_LAST
            )
            x = pad(x)
            padding = "valid"
        return self.conv(
            x, filters, size, name, strides, groups, padding=padding, **options
        )

    def depthwise_conv(self, x, size, name, strides=1, use_bias=False):
        """Applies one filter to each channel, with `"same"` padding."""
        return keras.layers.DepthwiseConv2D(
            size,
            strides,
            padding="same",
            use_bias=use_bias,
            depthwise_initializer=self.initializer(),
            name=name,
            **CHANNELS_LAST,
        )(x)

    def classifier(self, images, features, initializer):
        """Returns the network that ends with logits.

        Args:
            images: symbolic tensor. The input of the network.
            features: symbolic tensor `(batch, units)`.
            initializer: `keras.initializers.Initializer` of the last kernel.

        Returns:
            `keras.Model` from images to logits `(batch, num_classes)`.
        """
        logits = keras.layers.Dense(
            self.num_classes,
            kernel_initializer=initializer,
            # Under any policy: rounded logits would round the loss.
            dtype="float32",
            name="logits",
        )
        return keras.Model(images, logits(features), name=self.name)

    def initializer(self):
        """Returns the initializer of a kernel."""
        # A new one for each layer, because each has a seed of its own: one
        # object would make equal kernels of the same shape.
        return keras.initializers.VarianceScaling(
            2.0, "fan_out", self.kernel_distribution
        )


def average_pool(x, name, **options):
    """Applies the mean over the pixels of each channel.

    Args:
        x: symbolic tensor `(batch, height, width, channels)`.
        name: str. Name of the layer.
        **options: arguments of `keras.layers.GlobalAveragePooling2D`.

    Returns:
        Symbolic tensor `(batch, channels)`.
    """
    return keras.layers.GlobalAveragePooling2D(
        name=name, **CHANNELS_LAST, **options
    )(x)


def check_positive_integers(name, values):
    """Checks that `values` is a sequence, not empty, of integers >= 1."""
    if not isinstance(values, tuple | list) or not values:
        checks.refuse(name, "be a sequence of integers", values)
    for value in values:
        checks.integer(name, value)


def _check_input_shape(input_shape):
    expected = "be (height, width, channels), each >= 1; a size may be None"
    if not isinstance(input_shape, tuple | list) or len(input_shape) != 3:
        checks.refuse("input_shape", expected, input_shape)
    for size in input_shape[:2]:
        if size is not None:
            checks.integer("input_shape", size)
    checks.integer("input_shape", input_shape[2])

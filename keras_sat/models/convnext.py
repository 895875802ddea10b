"""ConvNeXt, with the stem of its authors or one of small convolutions."""

import dataclasses

import keras

from keras_sat import checks
from keras_sat.models import blocks

# From variants to the number of blocks, and the channels, of each stage.
VARIANTS = {
    "tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
    "small": ((3, 3, 27, 3), (96, 192, 384, 768)),
    "base": ((3, 3, 27, 3), (128, 256, 512, 1024)),
    "large": ((3, 3, 27, 3), (192, 384, 768, 1536)),
}
# The strides of the convolutions of the stem, and their channels as fractions
# of those of the first stage.
SMALL_CONV_STEM = ((2, 1 / 2), (2, 1))
LARGE_CONV_STEM = ((2, 1 / 2), (2, 3 / 4), (1, 1))
CONV_STEMS = {
    "tiny": SMALL_CONV_STEM,
    "small": SMALL_CONV_STEM,
    "base": LARGE_CONV_STEM,
    "large": LARGE_CONV_STEM,
}


def convnext(
    variant="tiny",
    activation="gelu_exact",
    num_classes=1000,
    input_shape=(224, 224, 3),
    stem="patch",
    stochastic_depth=0.0,
    **options,
):
    """Builds a ConvNeXt classifier that returns logits.

    Args:
        variant: str. `"tiny"`, `"small"`, `"base"` or `"large"`. Defaults to
            `"tiny"`.
        activation: see `resnet`. Defaults to `"gelu_exact"`, which the authors
            trained it with.
        num_classes: see `resnet`. Defaults to `1000`.
        input_shape: see `resnet`. Defaults to `(224, 224, 3)`.
        stem: str. `"patch"` for one 4x4 convolution with stride 4; `"conv"`
            for two (`"tiny"`, `"small"`) or three 3x3 convolutions, each with
            normalization and activation, which make adversarially trained
            networks more robust. Defaults to `"patch"`.
        stochastic_depth: float in `[0, 1)`. In training, block `i` of `n` is
            left out, for each image on its own, with probability
            `stochastic_depth * i / (n - 1)`. Defaults to `0.0`.
        **options: `normalization` and `name`: see `blocks.NetworkBuilder`. The
            name is made of the variant by default.

    Returns:
        `keras.Model`; see `resnet`, which also says what is refused.

    Example:

    ```python
    model = keras_sat.convnext("tiny", "silu", stem="conv")
    ```

    Reference:
    - [Liu et al., 2022](https://arxiv.org/abs/2201.03545)
    - [Singh et al., 2023](https://arxiv.org/abs/2303.01870), for the stem
    """
    repeats, filters = checks.lookup("variant", variant, VARIANTS)
    checks.one_of("stem", stem, ("conv", "patch"))
    checks.probability("stochastic_depth", stochastic_depth)
    network = ConvNeXtBuilder(
        activation=activation,
        num_classes=num_classes,
        input_shape=input_shape,
        **{"name": f"convnext_{variant}", **options},
    )
    images, x = network.images()
    if stem == "patch":
        x = network.patches(x, filters[0], 4, "stem")
        x = network.normalize(x, "stem")
    else:
        x = network.conv_stem(x, filters[0], CONV_STEMS[variant])
    number, last = 0, sum(repeats) - 1
    for stage, (count, channels) in enumerate(
        zip(repeats, filters, strict=True)
    ):
        if stage > 0:
            x = network.normalize(x, f"group{stage}_downsample")
            x = network.patches(x, channels, 2, f"group{stage}_downsample")
        for i in range(count):
            drop = stochastic_depth * number / last
            x = network.block(x, drop, f"group{stage}_block{i}")
            number += 1
    x = blocks.average_pool(x, "pool")
    x = network.normalize(x, "head")
    return network.classifier(images, x, network.initializer())


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvNeXtBuilder(blocks.NetworkBuilder):
    """Makes the layers of ConvNeXt; see `blocks.NetworkBuilder`."""

    def initializer(self):
        """Returns the initializer of kernels that the authors use."""
        return keras.initializers.TruncatedNormal(stddev=0.02)

    def normalize(self, x, name, last=False):
        """Applies layer normalization over the channels of each pixel."""
        return keras.layers.LayerNormalization(
            epsilon=1e-6, name=f"{name}_norm"
        )(x)

    def patches(self, x, filters, size, name):
        """Applies a convolution to squares that do not overlap."""
        return self.conv(
            x, filters, size, name, size, use_bias=True, padding="valid"
        )

    def conv_stem(self, x, filters, convolutions):
        """Applies the convolutions before the first block.

        Args:
            x: symbolic tensor `(batch, height, width, channels)`.
            filters: int. Channels of the result.
            convolutions: sequence of pairs of the strides and the fraction of
                `filters` of each convolution.
        """
        for i, (strides, fraction) in enumerate(convolutions):
            name, channels = f"stem{i}", int(fraction * filters)
            x = self.padded_conv(x, channels, 3, name, strides, use_bias=True)
            x = self.normalize_and_activate(x, name)
        return x

    def block(self, x, drop, name):
        """Applies a residual block.

        Args:
            x: symbolic tensor `(batch, height, width, channels)`.
            drop: float in `[0, 1]`. See `stochastic_depth` of `convnext`.
            name: str. What the names of its layers begin with.
        """
        channels = x.shape[-1]
        y = self.depthwise_conv(x, 7, f"{name}_depthwise", use_bias=True)
        y = self.normalize(y, name)
        y = self.conv(y, 4 * channels, 1, f"{name}_expand", use_bias=True)
        y = self.activate(y, f"{name}_expand")
        y = self.conv(y, channels, 1, f"{name}_project", use_bias=True)
        y = LayerScale(name=f"{name}_scale")(y)
        if drop > 0:
            # One number for each image: the whole branch is left out.
            y = keras.layers.Dropout(
                drop, noise_shape=(None, 1, 1, 1), name=f"{name}_drop"
            )(y)
        return keras.layers.Add(name=f"{name}_add")([x, y])


@keras.saving.register_keras_serializable("keras_sat")
class LayerScale(keras.layers.Layer):
    """Multiplies each channel by a weight, which is small at the beginning.

    Args:
        initial: float. What each weight begins with. Defaults to `1e-6`.
        **kwargs: arguments of `keras.layers.Layer`.

    Reference:
    - [Touvron et al., 2021](https://arxiv.org/abs/2103.17239)
    """

    def __init__(self, initial=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, input_shape):
        """See `keras.layers.Layer.build`."""
        initializer = keras.initializers.Constant(self.initial)
        self.scale = self.add_weight(
            (input_shape[-1],), initializer=initializer, name="scale"
        )

    def call(self, x):
        """See `keras.layers.Layer.call`."""
        return x * self.scale

    def compute_output_shape(self, input_shape):
        """See `keras.layers.Layer.compute_output_shape`."""
        return input_shape

    def get_config(self):
        """See `keras.layers.Layer.get_config`."""
        return {**super().get_config(), "initial": self.initial}

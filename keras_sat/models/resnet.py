"""ResNet and ResNeXt, equal to the official code of the paper."""

import dataclasses

import keras

from keras_sat import checks
from keras_sat.models import blocks

# From depths to the kind of block, and the number of blocks of each stage.
DEPTHS = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}


def resnet(
    depth=50,
    activation="silu",
    num_classes=1000,
    input_shape=(224, 224, 3),
    stem="imagenet",
    **options,
):
    """Builds a ResNet classifier that returns logits.

    The strides are in the 3x3 convolutions, and the activation also follows
    each addition.

    Args:
        depth: int. One of 18, 34, 50, 101 or 152. Defaults to `50`.
        activation: str, layer, layer class or callable, for every
            non-linearity: see `keras_sat.activations.get`. Defaults to
            `"silu"`.
        num_classes: int >= 2. Number of logits. Defaults to `1000`.
        input_shape: tuple `(height, width, channels)`. Sizes may be `None`.
            Defaults to `(224, 224, 3)`.
        stem: str. `"imagenet"` for a 7x7 convolution with stride 2 and a max
            pooling; `"small"` for a 3x3 convolution, for images of about 32
            pixels. Defaults to `"imagenet"`.
        **options: further arguments of `residual_network`.

    Returns:
        A `keras.Model` from images `(batch, *input_shape)` in `[0, 1]` to
        logits `(batch, num_classes)`.

    Raises:
        TypeError: If an argument is of the wrong kind, or not known.
        ValueError: If an argument has a value that is not listed here.

    Example:

    ```python
    model = keras_sat.resnet(18, "silu", 10, (32, 32, 3), stem="small")
    ```

    Reference:
    - [He et al., 2016](https://arxiv.org/abs/1512.03385)
    - [Xie et al., 2020](https://arxiv.org/abs/2006.14536)
    """
    block, repeats = _at_depth(depth, DEPTHS)
    options = {"name": f"resnet{depth}", "stem": stem, **options}
    return residual_network(
        repeats,
        activation=activation,
        num_classes=num_classes,
        input_shape=input_shape,
        block=block,
        **options,
    )


def resnext(
    depth=50,
    activation="silu",
    num_classes=1000,
    input_shape=(224, 224, 3),
    cardinality=32,
    group_width=4,
    **options,
):
    """Builds a ResNeXt classifier that returns logits.

    Args:
        depth: int. One of 50, 101 or 152. Defaults to `50`.
        activation: see `resnet`. Defaults to `"silu"`.
        num_classes: see `resnet`. Defaults to `1000`.
        input_shape: see `resnet`. Defaults to `(224, 224, 3)`.
        cardinality: int >= 1. Groups of each 3x3 convolution. Defaults to
            `32`.
        group_width: int >= 1. Channels of a group in the first stage.
            Defaults to `4`: the network known as 32x4d.
        **options: further arguments of `residual_network`.

    Returns:
        `keras.Model`; see `resnet`, which also says what is refused.

    Example:

    ```python
    model = keras_sat.resnext(50, activation="silu")
    ```

    Reference:
    - [Xie et al., 2017](https://arxiv.org/abs/1611.05431)
    """
    table = {k: v for k, v in DEPTHS.items() if v[0] == "bottleneck"}
    _, repeats = _at_depth(depth, table)
    name = f"resnext{depth}_{cardinality}x{group_width}d"
    return residual_network(
        repeats,
        activation=activation,
        num_classes=num_classes,
        input_shape=input_shape,
        cardinality=cardinality,
        group_width=group_width,
        **{"name": name, **options},
    )


def residual_network(
    repeats,
    filters=(64, 128, 256, 512),
    activation="silu",
    num_classes=1000,
    input_shape=(224, 224, 3),
    stem="imagenet",
    **options,
):
    """Builds a residual classifier of any depth and width.

    Args:
        repeats: sequence of int >= 1. Blocks of each stage; all stages but
            the first halve the size.
        filters: sequence of int >= 1, as long as `repeats`. Channels of each
            stage, of which a bottleneck block returns four times as many.
            Defaults to `(64, 128, 256, 512)`.
        activation: see `resnet`. Defaults to `"silu"`.
        num_classes: see `resnet`. Defaults to `1000`.
        input_shape: see `resnet`. Defaults to `(224, 224, 3)`.
        stem: see `resnet`. Defaults to `"imagenet"`.
        **options: `stem_filters`, `stem_strides`, `pool_padding`, `block`,
            `cardinality` and `group_width`: see `resnet.ResidualBuilder`;
            `normalization`, `zero_gamma`, here `True` by default,
            `batch_norm_momentum`, `batch_norm_epsilon`, `synchronized` and
            `name`: see `blocks.NetworkBuilder`.

    Returns:
        `keras.Model`; see `resnet`, which also says what is refused.

    Example:

    ```python
    model = keras_sat.models.residual_network(
        repeats=(1, 1, 1),
        filters=(16, 32, 64),
        activation="silu",
        num_classes=10,
        input_shape=(32, 32, 3),
        stem="small",
        stem_filters=16,
        block="basic",
    )
    ```
    """
    for argument, values in (("repeats", repeats), ("filters", filters)):
        blocks.check_positive_integers(argument, values)
    if len(filters) != len(repeats):
        expected = f"have one entry for each of the {len(repeats)} stages"
        checks.refuse("filters", expected, filters)
    network = ResidualBuilder(
        activation=activation,
        num_classes=num_classes,
        input_shape=input_shape,
        stem=stem,
        **options,
    )
    images, x = network.images()
    x = network.apply_stem(x)
    for stage, (count, channels) in enumerate(
        zip(repeats, filters, strict=True)
    ):
        for i in range(count):
            strides = 2 if stage > 0 and i == 0 else 1
            x = network.apply_block(
                x, channels, strides, f"group{stage}_block{i}"
            )
    x = blocks.average_pool(x, "pool")
    initializer = keras.initializers.RandomNormal(stddev=0.01)
    return network.classifier(images, x, initializer)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResidualBuilder(blocks.NetworkBuilder):
    """Makes the blocks of residual networks; see `blocks.NetworkBuilder`.

    Args:
        stem: str. `"imagenet"` or `"small"`: see `resnet`. Defaults to
            `"imagenet"`.
        stem_filters: int >= 1. Channels of the stem. Defaults to `64`.
        stem_strides: int >= 1. Strides of the small stem: 2 lets the blocks
            work at half of the size, for networks that cost little. Defaults
            to `1`.
        pool_padding: str. Where the max pooling of the stem is padded:
            `"same"`, at the right and at the bottom, or `"symmetric"`, on all
            sides as in torchvision. Defaults to `"same"`.
        block: str. `"bottleneck"` (1x1, 3x3, 1x1) or `"basic"` (3x3, 3x3).
            Defaults to `"bottleneck"`.
        cardinality: int >= 1. Groups of the 3x3 convolution in a bottleneck
            block. Defaults to `1`.
        group_width: int >= 1. The 3x3 convolution of a bottleneck block has
            `filters * cardinality * group_width / 64` channels. Defaults to
            `64`.
    """

    name: str = "residual_network"
    zero_gamma: bool = True
    stem: str = "imagenet"
    stem_filters: int = 64
    stem_strides: int = 1
    pool_padding: str = "same"
    block: str = "bottleneck"
    cardinality: int = 1
    group_width: int = 64

    def __post_init__(self):
        super().__post_init__()
        checks.one_of("stem", self.stem, ("imagenet", "small"))
        paddings = ("same", "symmetric")
        checks.one_of("pool_padding", self.pool_padding, paddings)
        checks.one_of("block", self.block, ("basic", "bottleneck"))
        for name in (
            "stem_filters",
            "stem_strides",
            "cardinality",
            "group_width",
        ):
            checks.integer(name, getattr(self, name))
        if self.stem != "small" and self.stem_strides != 1:
            checks.refuse("stem", "be 'small' for `stem_strides`", self.stem)
        has_groups = (self.cardinality, self.group_width) != (1, 64)
        if self.block == "basic" and has_groups:
            checks.refuse("block", "be 'bottleneck' for groups", self.block)

    def apply_stem(self, x):
        """Applies the layers before the first block."""
        if self.stem == "small":
            x = self.padded_conv(
                x, self.stem_filters, 3, "conv0", self.stem_strides
            )
            return self.normalize_and_activate(x, "conv0")
        x = self.padded_conv(x, self.stem_filters, 7, "conv0", strides=2)
        x = self.normalize_and_activate(x, "conv0")
        # The official code pads on the right and at the bottom only.
        pooling = keras.layers.MaxPooling2D
        if self.pool_padding == "symmetric":
            pooling = blocks.SymmetricMaxPooling2D
        pool = pooling(
            3, 2, padding="same", name="pool0", **blocks.CHANNELS_LAST
        )
        return pool(x)

    def apply_block(self, x, channels, strides, name):
        """Applies a residual block, and the activation after it.

        Args:
            x: symbolic tensor `(batch, height, width, any)`.
            channels: int. See `filters` of `residual_network`.
            strides: int. 2 halves the height and the width.
            name: str. What the names of its layers begin with.
        """
        if self.block == "basic":
            y = self._basic_branch(x, channels, strides, name)
        else:
            y = self._bottleneck_branch(x, channels, strides, name)
        channels = y.shape[-1]
        if x.shape[-1] != channels or strides > 1:
            shortcut = f"{name}_convshortcut"
            x = self.padded_conv(x, channels, 1, shortcut, strides)
            x = self.normalize(x, shortcut)
        x = keras.layers.Add(name=f"{name}_add")([y, x])
        return self.activate(x, name)

    def _basic_branch(self, x, channels, strides, name):
        y = self.padded_conv(x, channels, 3, f"{name}_conv1", strides)
        y = self.normalize_and_activate(y, f"{name}_conv1")
        y = self.padded_conv(y, channels, 3, f"{name}_conv2")
        return self.normalize(y, f"{name}_conv2", last=True)

    def _bottleneck_branch(self, x, channels, strides, name):
        # The strides are in the 3x3 convolution, like in PyTorch; in the paper,
        # they are in the first one.
        width = self._width(channels)
        y = self.padded_conv(x, width, 1, f"{name}_conv1")
        y = self.normalize_and_activate(y, f"{name}_conv1")
        y = self.padded_conv(
            y, width, 3, f"{name}_conv2", strides, self.cardinality
        )
        y = self.normalize_and_activate(y, f"{name}_conv2")
        y = self.padded_conv(y, 4 * channels, 1, f"{name}_conv3")
        return self.normalize(y, f"{name}_conv3", last=True)

    def _width(self, channels):
        """Returns the channels of the 3x3 convolution in a bottleneck block."""
        width = channels * self.cardinality * self.group_width / 64
        if width < 1 or width % self.cardinality:
            checks.refuse(
                "group_width",
                f"make {channels} * cardinality * group_width / 64 a multiple "
                f"of cardinality={self.cardinality}",
                self.group_width,
            )
        return int(width)


def _at_depth(depth, table):
    """Returns the kind of block and the numbers of blocks of a depth."""
    if not isinstance(depth, int) or depth not in table:
        checks.refuse("depth", f"be one of {sorted(table)}", depth)
    return table[depth]

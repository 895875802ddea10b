"""ResNet and ResNeXt, as in the official code of the paper."""

import dataclasses

import keras

from keras_sat import checks
from keras_sat.models import blocks

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
    """ResNet classifier that returns logits.

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
        TypeError: If an argument is of the wrong kind.
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
    """ResNeXt classifier that returns logits.

    Args:
        depth: int. One of 50, 101 or 152. Defaults to `50`.
        activation: see `resnet`. Defaults to `"silu"`.
        num_classes: int >= 2. Number of logits. Defaults to `1000`.
        input_shape: tuple `(height, width, channels)`. Sizes may be `None`.
            Defaults to `(224, 224, 3)`.
        cardinality: int >= 1. Groups of each 3x3 convolution. Defaults to
            `32`.
        group_width: int >= 1. Channels of a group in the first stage.
            Defaults to `4`: the network known as 32x4d.
        **options: further arguments of `residual_network`.

    Returns:
        A `keras.Model` from images `(batch, *input_shape)` in `[0, 1]` to
        logits `(batch, num_classes)`.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If an argument has a value that is not listed here.

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
    stem_filters=64,
    block="bottleneck",
    cardinality=1,
    group_width=64,
    zero_gamma=True,
    batch_norm_momentum=0.9,
    batch_norm_epsilon=1e-5,
    synchronized=False,
    name="residual_network",
):
    """Residual classifier of any depth and width that returns logits.

    Args:
        repeats: sequence of int >= 1. Blocks of each stage; all stages but
            the first halve the size.
        filters: sequence of int >= 1, as long as `repeats`. Channels of each
            stage, of which a bottleneck block returns four times as many.
            Defaults to `(64, 128, 256, 512)`.
        activation: see `resnet`. Defaults to `"silu"`.
        num_classes: int >= 2. Number of logits. Defaults to `1000`.
        input_shape: tuple `(height, width, channels)`. Sizes may be `None`.
            Defaults to `(224, 224, 3)`.
        stem: str. See `resnet`. Defaults to `"imagenet"`.
        stem_filters: int >= 1. Channels of the stem. Defaults to `64`.
        block: str. `"bottleneck"` (1x1, 3x3, 1x1) or `"basic"` (3x3, 3x3).
            Defaults to `"bottleneck"`.
        cardinality: int >= 1. Groups of the 3x3 convolution in a bottleneck
            block. Defaults to `1`.
        group_width: int >= 1. The 3x3 convolution of a bottleneck block has
            `filters * cardinality * group_width / 64` channels. Defaults to
            `64`.
        zero_gamma: bool. Whether the last normalization of a block starts at
            0, so that the block begins as the identity. Defaults to `True`.
        batch_norm_momentum: float in `[0, 1]`. Defaults to `0.9`.
        batch_norm_epsilon: float > 0. Defaults to `1e-5`.
        synchronized: bool. Whether replicas share their batch statistics.
            Defaults to `False`.
        name: str. Name of the model.

    Returns:
        A `keras.Model` from images `(batch, *input_shape)` in `[0, 1]` to
        logits `(batch, num_classes)`.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If an argument has a value that is not listed here.
    """
    make_block = checks.lookup("block", block, BLOCKS)
    make_stem = checks.lookup("stem", stem, STEMS)
    for argument, values in (("repeats", repeats), ("filters", filters)):
        blocks.positive_integers(argument, values)
    if len(filters) != len(repeats):
        expected = f"have one entry for each of the {len(repeats)} stages"
        checks.refuse("filters", expected, filters)
    checks.integer("stem_filters", stem_filters)
    checks.integer("num_classes", num_classes, least=2)
    common = blocks.Blocks(
        activation=activation,
        momentum=batch_norm_momentum,
        epsilon=batch_norm_epsilon,
        synchronized=synchronized,
    )
    form = Form(cardinality, group_width, zero_gamma)
    if block == "basic" and (cardinality, group_width) != (1, 64):
        checks.refuse("block", "be 'bottleneck' for groups", block)

    images, x = blocks.image_input(input_shape)
    x = make_stem(common, x, stem_filters)
    for stage, (count, channels) in enumerate(
        zip(repeats, filters, strict=True)
    ):
        for i in range(count):
            strides = 2 if stage > 0 and i == 0 else 1
            block_name = f"group{stage}_block{i}"
            x = make_block(common, x, channels, strides, form, block_name)
    x = blocks.average_pool(x, "pool")
    initializer = keras.initializers.RandomNormal(stddev=0.01)
    logits = blocks.classify(x, num_classes, initializer)
    return keras.Model(images, logits, name=name)


@dataclasses.dataclass(frozen=True)
class Form:
    """What sets one kind of residual block apart: see `residual_network`."""

    cardinality: int
    group_width: int
    zero_gamma: bool

    def __post_init__(self):
        checks.integer("cardinality", self.cardinality)
        checks.integer("group_width", self.group_width)

    def width(self, channels):
        """Channels of the 3x3 convolution in a bottleneck block."""
        width = channels * self.cardinality * self.group_width / 64
        if width < 1 or width % self.cardinality:
            checks.refuse(
                "group_width",
                f"make {channels} * cardinality * group_width / 64 a multiple "
                f"of cardinality={self.cardinality}",
                self.group_width,
            )
        return int(width)


def _imagenet_stem(common, x, filters):
    x = common.padded_conv(x, filters, 7, "conv0", strides=2)
    x = common.activate(common.normalize(x, "conv0"), "conv0")
    # The padding is on the right and at the bottom only.
    pool = keras.layers.MaxPooling2D(
        3, 2, padding="same", name="pool0", **blocks.CHANNELS_LAST
    )
    return pool(x)


def _small_stem(common, x, filters):
    x = common.padded_conv(x, filters, 3, "conv0")
    return common.activate(common.normalize(x, "conv0"), "conv0")


def _bottleneck(common, x, channels, strides, form, name):
    width = form.width(channels)
    y = common.padded_conv(x, width, 1, f"{name}_conv1")
    y = common.normalize(y, f"{name}_conv1")
    y = common.activate(y, f"{name}_conv1")
    y = common.padded_conv(
        y, width, 3, f"{name}_conv2", strides, form.cardinality
    )
    y = common.normalize(y, f"{name}_conv2")
    y = common.activate(y, f"{name}_conv2")
    y = common.padded_conv(y, 4 * channels, 1, f"{name}_conv3")
    y = common.normalize(y, f"{name}_conv3", zero=form.zero_gamma)
    return _add_shortcut(common, x, y, strides, name)


def _basic(common, x, channels, strides, form, name):
    y = common.padded_conv(x, channels, 3, f"{name}_conv1", strides)
    y = common.normalize(y, f"{name}_conv1")
    y = common.activate(y, f"{name}_conv1")
    y = common.padded_conv(y, channels, 3, f"{name}_conv2")
    y = common.normalize(y, f"{name}_conv2", zero=form.zero_gamma)
    return _add_shortcut(common, x, y, strides, name)


def _add_shortcut(common, x, y, strides, name):
    channels = y.shape[-1]
    if x.shape[-1] != channels or strides > 1:
        x = common.padded_conv(x, channels, 1, f"{name}_convshortcut", strides)
        x = common.normalize(x, f"{name}_convshortcut")
    x = keras.layers.Add(name=f"{name}_add")([y, x])
    return common.activate(x, name)


BLOCKS = {"basic": _basic, "bottleneck": _bottleneck}
STEMS = {"imagenet": _imagenet_stem, "small": _small_stem}


def _at_depth(depth, table):
    if not isinstance(depth, int) or depth not in table:
        checks.refuse("depth", f"be one of {sorted(table)}", depth)
    return table[depth]

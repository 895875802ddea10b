"""EfficientNet, equal to the official code of the paper."""

import dataclasses
import math

import keras

from keras_sat import checks
from keras_sat.models import blocks

# From variants to width coefficient, depth coefficient, resolution, dropout.
VARIANTS = {
    "b0": (1.0, 1.0, 224, 0.2),
    "b1": (1.0, 1.1, 240, 0.2),
    "b2": (1.1, 1.2, 260, 0.3),
    "b3": (1.2, 1.4, 300, 0.3),
    "b4": (1.4, 1.8, 380, 0.4),
    "b5": (1.6, 2.2, 456, 0.4),
    "b6": (1.8, 2.6, 528, 0.5),
    "b7": (2.0, 3.1, 600, 0.5),
    "b8": (2.2, 3.6, 672, 0.5),
    "l1": (3.9, 3.7, 600, 0.5),
    "l2": (4.3, 5.3, 800, 0.5),
}

# Repeats, kernel size, strides, expansion and filters of the stages of B0.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def efficientnet(
    variant="b0",
    activation="silu",
    num_classes=1000,
    input_shape=None,
    **options,
):
    """Builds an EfficientNet classifier that returns logits.

    Args:
        variant: str. One of `"b0"` to `"b8"`, `"l1"` or `"l2"`.
        activation: see `resnet`. The sigmoid gates of squeeze-and-excitation
            stay as they are. Defaults to `"silu"`.
        num_classes: see `resnet`. Defaults to `1000`.
        input_shape: see `resnet`. Defaults to colour images with the
            resolution of the variant, from 224 pixels for `"b0"` to 800 for
            `"l2"`.
        **options: further arguments of `scaled_efficientnet`. Width, depth and
            `dropout` default to those of the variant.

    Returns:
        `keras.Model`; see `resnet`, which also says what is refused.

    Example:

    ```python
    model = keras_sat.efficientnet("l1", activation="swish")
    ```

    Reference:
    - [Tan and Le, 2019](https://arxiv.org/abs/1905.11946)
    - [Xie et al., 2020](https://arxiv.org/abs/2006.14536)
    """
    width, depth, size, dropout = checks.lookup("variant", variant, VARIANTS)
    defaults = {
        "width_coefficient": width,
        "depth_coefficient": depth,
        "dropout": dropout,
        "name": f"efficientnet_{variant}",
    }
    return scaled_efficientnet(
        activation=activation,
        num_classes=num_classes,
        input_shape=(size, size, 3) if input_shape is None else input_shape,
        **{**defaults, **options},
    )


def scaled_efficientnet(
    width_coefficient=1.0,
    depth_coefficient=1.0,
    activation="silu",
    num_classes=1000,
    input_shape=(224, 224, 3),
    stages=STAGES,
    dropout=0.2,
    stochastic_depth=0.2,
    **options,
):
    """Builds an EfficientNet classifier of any depth and width.

    Args:
        width_coefficient: float > 0. Factor of all channels, which are then
            rounded to multiples of 8. Defaults to `1.0`.
        depth_coefficient: float > 0. Factor of the blocks of each stage,
            rounded up. Defaults to `1.0`.
        activation: see `efficientnet`. Defaults to `"silu"`.
        num_classes: see `resnet`. Defaults to `1000`.
        input_shape: see `resnet`. Defaults to `(224, 224, 3)`.
        stages: sequence of tuples `(repeats, kernel_size, strides, expansion,
            filters)`, before scaling. Defaults to the seven of EfficientNet.
        dropout: float in `[0, 1]`. Rate before the last layer. Defaults to
            `0.2`.
        stochastic_depth: float in `[0, 1]`. In training, block `i` of `n` is
            left out, for each image on its own, with probability
            `stochastic_depth * i / n`. Only blocks with a shortcut can be left
            out. Defaults to `0.2`.
        **options: `zero_gamma`, `batch_norm_momentum`, `batch_norm_epsilon`,
            `synchronized` and `name`: see `blocks.NetworkBuilder`.

    Returns:
        `keras.Model`; see `resnet`, which also says what is refused.
    """
    checks.real("width_coefficient", width_coefficient, above=0)
    checks.real("depth_coefficient", depth_coefficient, above=0)
    for stage in stages:
        blocks.check_positive_integers("stages", stage)
    checks.probability("dropout", dropout)
    checks.probability("stochastic_depth", stochastic_depth)
    network = blocks.NetworkBuilder(
        activation=activation,
        num_classes=num_classes,
        input_shape=input_shape,
        kernel_distribution="untruncated_normal",
        **{"name": "efficientnet", **options},
    )
    images, x = network.images()
    x = network.conv(x, scale(32, width_coefficient), 3, "stem", strides=2)
    x = network.normalize_and_activate(x, "stem")
    plan = _plan(stages, width_coefficient, depth_coefficient, stochastic_depth)
    for i, block in enumerate(plan):
        x = _mbconv(network, x, block, f"block{i}")
    x = network.conv(x, scale(1280, width_coefficient), 1, "head")
    x = network.normalize_and_activate(x, "head")
    x = blocks.average_pool(x, "pool")
    if dropout > 0:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    # The initializer of the official code.
    limit = num_classes**-0.5
    initializer = keras.initializers.RandomUniform(-limit, limit)
    return network.classifier(images, x, initializer)


def scale(filters, coefficient):
    """Scales a number of channels, to a multiple of 8.

    Args:
        filters: int >= 1.
        coefficient: float > 0.

    Returns:
        int. The multiple of 8 that is nearest to the product, but at most 10%
        less than it.
    """
    scaled = filters * coefficient
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * scaled else rounded + 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """A description of a block, after scaling.

    Args:
        size: int. Height and width of the depthwise kernel.
        strides: int. 2 halves the height and the width.
        expansion: int. Factor of the channels inside the block.
        filters: int. Channels of the result.
        drop: float in `[0, 1)`. Probability that it is left out in training.
    """

    size: int
    strides: int
    expansion: int
    filters: int
    drop: float = 0.0


def _plan(stages, width, depth, stochastic_depth):
    """Returns a description of each block of a scaled network.

    Args:
        stages: see `scaled_efficientnet`.
        width: float > 0. The width coefficient.
        depth: float > 0. The depth coefficient.
        stochastic_depth: float in `[0, 1]`.

    Returns:
        list of `Block`.
    """
    plan = [
        Block(
            size=size,
            # Only the first block of a stage makes images smaller.
            strides=strides if i == 0 else 1,
            expansion=expansion,
            filters=scale(filters, width),
        )
        for repeats, size, strides, expansion, filters in stages
        for i in range(math.ceil(repeats * depth))
    ]
    return [
        dataclasses.replace(block, drop=stochastic_depth * i / len(plan))
        for i, block in enumerate(plan)
    ]


def _mbconv(network, x, block, name):
    """Applies an inverted residual block with squeeze-and-excitation."""
    channels = x.shape[-1]
    has_shortcut = block.strides == 1 and channels == block.filters
    y = x
    if block.expansion > 1:
        y = network.conv(y, channels * block.expansion, 1, f"{name}_expand")
        y = network.normalize_and_activate(y, f"{name}_expand")
    y = network.depthwise_conv(
        y, block.size, f"{name}_depthwise", block.strides
    )
    y = network.normalize_and_activate(y, f"{name}_depthwise")
    y = _squeeze_excite(network, y, max(1, channels // 4), f"{name}_se")
    y = network.conv(y, block.filters, 1, f"{name}_project")
    y = network.normalize(y, f"{name}_project", last=has_shortcut)
    if not has_shortcut:
        return y
    if block.drop > 0:
        # One number for each image: dropout of the whole branch, which is
        # scaled by 1 / (1 - drop) where it stays.
        y = keras.layers.Dropout(
            block.drop, noise_shape=(None, 1, 1, 1), name=f"{name}_drop"
        )(y)
    return keras.layers.Add(name=f"{name}_add")([x, y])


def _squeeze_excite(network, x, channels, name):
    """Multiplies each channel by a gate that depends on all channels."""
    # (batch, 1, 1, channels)
    y = blocks.average_pool(x, f"{name}_pool", keepdims=True)
    y = network.conv(y, channels, 1, f"{name}_reduce", use_bias=True)
    y = network.activate(y, f"{name}_reduce")
    y = network.conv(y, x.shape[-1], 1, f"{name}_expand", use_bias=True)
    gate = keras.layers.Activation("sigmoid", name=f"{name}_gate")(y)
    return keras.layers.Multiply(name=f"{name}_scale")([x, gate])

"""EfficientNet, as in the official code of the paper."""

import math

import keras

from keras_sat import checks
from keras_sat.models import blocks

# Width and depth coefficients, resolution, dropout.
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

# Repeats, kernel size, strides, expansion, filters, before the scaling.
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
    """EfficientNet classifier that returns logits.

    Args:
        variant: str. One of `"b0"` to `"b8"`, `"l1"` or `"l2"`.
        activation: str, layer, layer class or callable, for every
            non-linearity but the sigmoid gates: see
            `keras_sat.activations.get`. Defaults to `"silu"`.
        num_classes: int >= 2. Number of logits. Defaults to `1000`.
        input_shape: tuple `(height, width, channels)`. Sizes may be `None`.
            Defaults to colour images with the resolution of the variant, from
            224 pixels for `"b0"` to 800 for `"l2"`.
        **options: further arguments of `scaled_efficientnet`. Width, depth and
            `dropout` default to those of the variant.

    Returns:
        A `keras.Model` from images `(batch, *input_shape)` in `[0, 1]` to
        logits `(batch, num_classes)`.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If an argument has a value that is not listed here.

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
    zero_gamma=False,
    batch_norm_momentum=0.9,
    batch_norm_epsilon=1e-5,
    synchronized=False,
    name="efficientnet",
):
    """EfficientNet classifier of any depth and width that returns logits.

    Args:
        width_coefficient: float > 0. Factor of all channels, which are then
            rounded to multiples of 8. Defaults to `1.0`.
        depth_coefficient: float > 0. Factor of the blocks of each stage,
            rounded up. Defaults to `1.0`.
        activation: see `efficientnet`. Defaults to `"silu"`.
        num_classes: int >= 2. Number of logits. Defaults to `1000`.
        input_shape: tuple `(height, width, channels)`. Sizes may be `None`.
            Defaults to `(224, 224, 3)`.
        stages: sequence of tuples `(repeats, kernel_size, strides, expansion,
            filters)`, before scaling. Defaults to the seven of EfficientNet.
        dropout: float in `[0, 1]`. Rate before the last layer. Defaults to
            `0.2`.
        stochastic_depth: float in `[0, 1]`. Block `i` of `n` is left out, for
            each image on its own, with probability `stochastic_depth * i / n`
            in training. Only blocks with a shortcut can be. Defaults to
            `0.2`.
        zero_gamma: bool. Whether the last normalization of a block with a
            shortcut starts at 0. Defaults to `False`, as in the official code.
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
    checks.real("width_coefficient", width_coefficient, above=0)
    checks.real("depth_coefficient", depth_coefficient, above=0)
    for stage in stages:
        blocks.positive_integers("stages", stage)
    checks.integer("num_classes", num_classes, least=2)
    checks.probability("dropout", dropout)
    checks.probability("stochastic_depth", stochastic_depth)
    common = blocks.Blocks(
        activation=activation,
        momentum=batch_norm_momentum,
        epsilon=batch_norm_epsilon,
        synchronized=synchronized,
        distribution="untruncated_normal",
    )

    images, x = blocks.image_input(input_shape)
    x = common.conv(x, scale(32, width_coefficient), 3, "stem", strides=2)
    x = common.activate(common.normalize(x, "stem"), "stem")
    plan = list(_plan(stages, width_coefficient, depth_coefficient))
    for i, block in enumerate(plan):
        drop = stochastic_depth * i / len(plan)
        x = _mbconv(common, x, *block, drop, zero_gamma, f"block{i}")
    x = common.conv(x, scale(1280, width_coefficient), 1, "head")
    x = common.activate(common.normalize(x, "head"), "head")
    x = blocks.average_pool(x, "pool")
    if dropout > 0:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    limit = num_classes**-0.5
    initializer = keras.initializers.RandomUniform(-limit, limit)
    logits = blocks.classify(x, num_classes, initializer)
    return keras.Model(images, logits, name=name)


def scale(filters, coefficient):
    """`filters * coefficient`, as a multiple of 8 that is at most 10% less."""
    scaled = filters * coefficient
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * scaled else rounded + 8


def _plan(stages, width, depth):
    """Kernel size, strides, expansion and filters of each block."""
    for repeats, size, strides, expansion, filters in stages:
        for i in range(math.ceil(repeats * depth)):
            yield (
                size,
                strides if i == 0 else 1,
                expansion,
                scale(filters, width),
            )


def _mbconv(
    common, x, size, strides, expansion, filters, drop, zero_gamma, name
):
    channels = x.shape[-1]
    shortcut = strides == 1 and channels == filters
    y = x
    if expansion > 1:
        y = common.conv(y, channels * expansion, 1, f"{name}_expand")
        y = common.normalize(y, f"{name}_expand")
        y = common.activate(y, f"{name}_expand")
    y = common.depthwise_conv(y, size, f"{name}_depthwise", strides)
    y = common.normalize(y, f"{name}_depthwise")
    y = common.activate(y, f"{name}_depthwise")
    y = _squeeze_excite(common, y, max(1, channels // 4), f"{name}_se")
    y = common.conv(y, filters, 1, f"{name}_project")
    y = common.normalize(y, f"{name}_project", zero=zero_gamma and shortcut)
    if not shortcut:
        return y
    if drop > 0:
        # The same for all units of an image, and scaled by 1 / (1 - drop).
        y = keras.layers.Dropout(
            drop, noise_shape=(None, 1, 1, 1), name=f"{name}_drop"
        )(y)
    return keras.layers.Add(name=f"{name}_add")([x, y])


def _squeeze_excite(common, x, channels, name):
    # (batch, 1, 1, channels)
    y = blocks.average_pool(x, f"{name}_pool", keepdims=True)
    y = common.conv(y, channels, 1, f"{name}_reduce", use_bias=True)
    y = common.activate(y, f"{name}_reduce")
    y = common.conv(y, x.shape[-1], 1, f"{name}_expand", use_bias=True)
    gate = keras.layers.Activation("sigmoid", name=f"{name}_gate")(y)
    return keras.layers.Multiply(name=f"{name}_scale")([x, gate])

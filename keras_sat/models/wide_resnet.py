"""Wide residual networks for small images."""

import keras

from keras_sat import checks
from keras_sat.models import blocks


def wide_resnet(
    depth=28,
    width=10,
    activation="silu",
    num_classes=10,
    input_shape=(32, 32, 3),
    dropout=0.0,
    zero_gamma=False,
    batch_norm_momentum=0.9,
    batch_norm_epsilon=1e-5,
    synchronized=False,
    name=None,
):
    """Wide ResNet classifier, WRN-depth-width, that returns logits.

    Normalization and activation come before each convolution. Three stages of
    `(depth - 4) / 6` blocks have 16, 32 and 64 times `width` channels.

    Args:
        depth: int. 10, 16, 22, 28, ...: 4 more than a multiple of 6. Defaults
            to `28`.
        width: int >= 1. Factor of all channels but the first 16. Defaults to
            `10`.
        activation: str, layer, layer class or callable, for every
            non-linearity: see `keras_sat.activations.get`. Defaults to
            `"silu"`.
        num_classes: int >= 2. Number of logits. Defaults to `10`.
        input_shape: tuple `(height, width, channels)`. Sizes may be `None`.
            Defaults to `(32, 32, 3)`.
        dropout: float in `[0, 1]`. Rate between the two convolutions of a
            block. Defaults to `0.0`.
        zero_gamma: bool. Whether the last normalization of a block starts at
            0, so that a block whose activation maps 0 to 0 begins as the
            identity. Defaults to `False`, as in the paper.
        batch_norm_momentum: float in `[0, 1]`. Defaults to `0.9`.
        batch_norm_epsilon: float > 0. Defaults to `1e-5`.
        synchronized: bool. Whether replicas share their batch statistics.
            Defaults to `False`.
        name: str. Name of the model. Made of depth and width if `None`.

    Returns:
        A `keras.Model` from images `(batch, *input_shape)` in `[0, 1]` to
        logits `(batch, num_classes)`.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If an argument has a value that is not listed here.

    Reference:
    - [Zagoruyko and Komodakis, 2016](https://arxiv.org/abs/1605.07146)
    """
    checks.integer("depth", depth)
    if depth < 10 or (depth - 4) % 6:
        checks.refuse("depth", "be 10, 16, 22, 28, ... (6 n + 4)", depth)
    checks.integer("width", width)
    checks.integer("num_classes", num_classes, least=2)
    checks.probability("dropout", dropout)
    common = blocks.Blocks(
        activation=activation,
        momentum=batch_norm_momentum,
        epsilon=batch_norm_epsilon,
        synchronized=synchronized,
        distribution="untruncated_normal",
    )

    images, x = blocks.image_input(input_shape)
    x = common.padded_conv(x, 16, 3, "conv0")
    for stage, filters in enumerate((16 * width, 32 * width, 64 * width)):
        for i in range((depth - 4) // 6):
            strides = 2 if stage > 0 and i == 0 else 1
            block_name = f"group{stage}_block{i}"
            x = _block(
                common, x, filters, strides, dropout, zero_gamma, block_name
            )
    x = common.activate(common.normalize(x, "final"), "final")
    x = blocks.average_pool(x, "pool")
    initializer = keras.initializers.RandomNormal(stddev=0.01)
    logits = blocks.classify(x, num_classes, initializer)
    return keras.Model(
        images, logits, name=name or f"wide_resnet{depth}_{width}"
    )


def _block(common, x, filters, strides, dropout, zero_gamma, name):
    y = common.normalize(x, f"{name}_conv1")
    y = common.activate(y, f"{name}_conv1")
    if x.shape[-1] != filters or strides > 1:
        x = common.padded_conv(y, filters, 1, f"{name}_convshortcut", strides)
    y = common.padded_conv(y, filters, 3, f"{name}_conv1", strides)
    y = common.normalize(y, f"{name}_conv2", zero=zero_gamma)
    y = common.activate(y, f"{name}_conv2")
    if dropout > 0:
        y = keras.layers.Dropout(dropout, name=f"{name}_dropout")(y)
    y = common.padded_conv(y, filters, 3, f"{name}_conv2")
    return keras.layers.Add(name=f"{name}_add")([x, y])

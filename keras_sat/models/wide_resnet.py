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
    padding="symmetric",
    **options,
):
    """Builds a Wide ResNet classifier, WRN-depth-width.

    Normalization and activation come before each convolution. Three stages of
    `(depth - 4) / 6` blocks have 16, 32 and 64 times `width` channels. With
    `zero_gamma`, a block begins as the identity if its activation maps 0 to 0.

    Args:
        depth: int. 10, 16, 22, 28, ...: 4 more than a multiple of 6. Defaults
            to `28`.
        width: int >= 1. Factor of all channels but the first 16. Defaults to
            `10`.
        activation: see `resnet`. Defaults to `"silu"`.
        num_classes: see `resnet`. Defaults to `10`.
        input_shape: see `resnet`. Defaults to `(32, 32, 3)`.
        dropout: float in `[0, 1]`. Rate between the two convolutions of a
            block. Defaults to `0.0`.
        padding: str. How convolutions with strides are padded: `"symmetric"`,
            by one pixel on each side as in PyTorch, or `"same"`, as TensorFlow
            does it and DeepMind's robust networks need it. Defaults to
            `"symmetric"`.
        **options: `normalization`, `zero_gamma`, `batch_norm_momentum`,
            `batch_norm_epsilon`, `synchronized` and `name`: see
            `blocks.NetworkBuilder`. The name is made of depth and width by
            default.

    Returns:
        `keras.Model`; see `resnet`, which also says what is refused.

    Example:

    ```python
    model = keras_sat.wide_resnet(28, 10, activation="silu")
    ```

    Reference:
    - [Zagoruyko and Komodakis, 2016](https://arxiv.org/abs/1605.07146)
    """
    checks.integer("depth", depth)
    if depth < 10 or (depth - 4) % 6:
        checks.refuse("depth", "be 10, 16, 22, 28, ... (6 n + 4)", depth)
    checks.integer("width", width)
    checks.probability("dropout", dropout)
    if options.get("name") is None:
        options["name"] = f"wide_resnet{depth}_{width}"
    network = blocks.NetworkBuilder(
        activation=activation,
        num_classes=num_classes,
        input_shape=input_shape,
        kernel_distribution="untruncated_normal",
        **options,
    )
    conv = network.conv_with(padding)
    images, x = network.images()
    x = conv(x, 16, 3, "conv0")
    for stage, filters in enumerate((16 * width, 32 * width, 64 * width)):
        for i in range((depth - 4) // 6):
            strides = 2 if stage > 0 and i == 0 else 1
            block_name = f"group{stage}_block{i}"
            x = _block(network, conv, x, filters, strides, dropout, block_name)
    x = network.normalize_and_activate(x, "final")
    x = blocks.average_pool(x, "pool")
    initializer = keras.initializers.RandomNormal(stddev=0.01)
    return network.classifier(images, x, initializer)


def _block(network, conv, x, filters, strides, dropout, name):
    """Applies a residual block that begins with normalization."""
    y = network.normalize_and_activate(x, f"{name}_conv1")
    if x.shape[-1] != filters or strides > 1:
        # The shortcut starts after the activation, like in the paper's code.
        x = conv(y, filters, 1, f"{name}_convshortcut", strides)
    y = conv(y, filters, 3, f"{name}_conv1", strides)
    y = network.normalize(y, f"{name}_conv2", last=True)
    y = network.activate(y, f"{name}_conv2")
    if dropout > 0:
        y = keras.layers.Dropout(dropout, name=f"{name}_dropout")(y)
    y = conv(y, filters, 3, f"{name}_conv2")
    return keras.layers.Add(name=f"{name}_add")([x, y])

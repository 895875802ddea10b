"""Residual networks with normalization and activation before convolutions."""

import dataclasses

import keras

from keras_sat import checks
from keras_sat.models import blocks

# From depths to the number of blocks of each stage.
DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


def preact_resnet(
    depth=18,
    activation="silu",
    num_classes=10,
    input_shape=(32, 32, 3),
    **options,
):
    """Builds a pre-activation ResNet classifier for small images.

    The stages have 64, 128, 256 and 512 channels; all but the first halve the
    size. The defaults are those of the original paper, and of the network of
    Rice et al., 2020. Other public robust networks differ from it:

    - Wong et al., 2020, and Andriushchenko and Flammarion, 2020:
      `final_normalization=False, shortcut="input"`
    - DeepMind, 2021: `shortcut="input", shortcut_size=3, padding="same"`

    Args:
        depth: int. 18 or 34. Defaults to `18`.
        activation: see `resnet`. Defaults to `"silu"`.
        num_classes: see `resnet`. Defaults to `10`.
        input_shape: see `resnet`. Defaults to `(32, 32, 3)`.
        **options: `final_normalization`, `shortcut`, `shortcut_size` and
            `padding`: see `preact_resnet.PreactBuilder`; `normalization`,
            `zero_gamma`, `batch_norm_momentum`, `batch_norm_epsilon`,
            `synchronized` and `name`: see `blocks.NetworkBuilder`. The name is
            made of the depth by default.

    Returns:
        `keras.Model`; see `resnet`, which also says what is refused.

    Example:

    ```python
    model = keras_sat.preact_resnet(18, "silu", normalization="cifar10")
    ```

    Reference:
    - [He et al., 2016](https://arxiv.org/abs/1603.05027)
    """
    if not isinstance(depth, int) or depth not in DEPTHS:
        checks.refuse("depth", f"be one of {sorted(DEPTHS)}", depth)
    network = PreactBuilder(
        activation=activation,
        num_classes=num_classes,
        input_shape=input_shape,
        **{"name": f"preact_resnet{depth}", **options},
    )
    images, x = network.images()
    x = network.padded_conv(x, 64, 3, "conv0")
    for stage, count in enumerate(DEPTHS[depth]):
        for i in range(count):
            strides = 2 if stage > 0 and i == 0 else 1
            x = network.apply_block(
                x, 64 * 2**stage, strides, f"group{stage}_block{i}"
            )
    if network.final_normalization:
        x = network.normalize_and_activate(x, "final")
    x = blocks.average_pool(x, "pool")
    initializer = keras.initializers.RandomNormal(stddev=0.01)
    return network.classifier(images, x, initializer)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreactBuilder(blocks.NetworkBuilder):
    """Makes pre-activation blocks; see `blocks.NetworkBuilder`.

    Args:
        final_normalization: bool. Whether normalization and activation come
            before the last pooling. Defaults to `True`.
        shortcut: str. Where a convolution of a shortcut starts:
            `"activation"`, after the first activation of the block, or
            `"input"`, before its normalization. Defaults to `"activation"`.
        shortcut_size: int. Height and width of the kernel of a shortcut: 1 or
            3. Defaults to `1`.
        padding: str. See `wide_resnet`. Defaults to `"symmetric"`.
    """

    final_normalization: bool = True
    shortcut: str = "activation"
    shortcut_size: int = 1
    padding: str = "symmetric"

    def __post_init__(self):
        super().__post_init__()
        checks.one_of("shortcut", self.shortcut, ("activation", "input"))
        if self.shortcut_size not in (1, 3):
            checks.refuse("shortcut_size", "be 1 or 3", self.shortcut_size)
        self.conv_with(self.padding)

    def apply_block(self, x, filters, strides, name):
        """Applies a residual block that begins with normalization.

        Args:
            x: symbolic tensor `(batch, height, width, any)`.
            filters: int. Channels of the result.
            strides: int. 2 halves the height and the width.
            name: str. What the names of its layers begin with.
        """
        conv = self.conv_with(self.padding)
        y = self.normalize_and_activate(x, f"{name}_conv1")
        if x.shape[-1] != filters or strides > 1:
            start = y if self.shortcut == "activation" else x
            shortcut = f"{name}_convshortcut"
            x = conv(start, filters, self.shortcut_size, shortcut, strides)
        y = conv(y, filters, 3, f"{name}_conv1", strides)
        y = self.normalize(y, f"{name}_conv2", last=True)
        y = self.activate(y, f"{name}_conv2")
        y = conv(y, filters, 3, f"{name}_conv2")
        return keras.layers.Add(name=f"{name}_add")([x, y])

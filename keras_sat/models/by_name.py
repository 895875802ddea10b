"""Networks by their names, for programs and recipes."""

import functools
import re

from keras_sat import checks
from keras_sat.models.convnext import convnext
from keras_sat.models.efficientnet import efficientnet
from keras_sat.models.preact_resnet import preact_resnet
from keras_sat.models.resnet import resnet
from keras_sat.models.resnet import resnext
from keras_sat.models.wide_resnet import wide_resnet

# The groups of a pattern are the first arguments of the builder.
PATTERNS = {
    r"convnext_([a-z]+)": convnext,
    r"efficientnet_([bl]\d)": efficientnet,
    r"preact_resnet(\d+)": preact_resnet,
    r"resnet(\d+)": resnet,
    r"resnext(\d+)": resnext,
    r"wide_resnet(\d+)_(\d+)": wide_resnet,
}


def get(name, **options):
    """Builds the network of a name.

    Args:
        name: str. For example `"resnet50"`, `"resnext101"`,
            `"wide_resnet28_10"` or `"efficientnet_l1"`.
        **options: arguments of the builder, such as `activation`,
            `num_classes` and `input_shape`. See `resnet`, `resnext`,
            `wide_resnet` and `efficientnet`.

    Returns:
        `keras.Model` from images in `[0, 1]` to logits.

    Raises:
        TypeError: If the builder does not take an option.
        ValueError: If there is no network of this name.

    Example:

    ```python
    network = keras_sat.models.get("efficientnet_b0", activation="gelu")
    ```
    """
    return builder("name", name)(**options)


def builder(argument, name):
    """Returns the function that builds the network of a name.

    Args:
        argument: str. The argument that the name was given for, for errors.
        name: str. See `get`.

    Returns:
        Callable that takes the further arguments.

    Raises:
        ValueError: If there is no network of this name.
    """
    for pattern, function in PATTERNS.items():
        found = isinstance(name, str) and re.fullmatch(pattern, name)
        if found:
            return functools.partial(function, *map(_number, found.groups()))
    return checks.refuse(
        argument,
        "be like 'resnet50', 'resnext101', 'wide_resnet28_10' or "
        "'efficientnet_l1'",
        name,
    )


def _number(text):
    """Returns the depth 50 for "50", and the variant "b0" for "b0"."""
    return int(text) if text.isdecimal() else text

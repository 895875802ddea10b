"""Networks by their names, for programs that are told one."""

import functools
import re

from keras_sat import checks
from keras_sat.models.efficientnet import efficientnet
from keras_sat.models.resnet import resnet
from keras_sat.models.resnet import resnext
from keras_sat.models.wide_resnet import wide_resnet

PATTERNS = {
    r"efficientnet_([bl]\d)": efficientnet,
    r"resnet(\d+)": resnet,
    r"resnext(\d+)": resnext,
    r"wide_resnet(\d+)_(\d+)": wide_resnet,
}


def get(name, **options):
    """The network of this name.

    Args:
        name: str. Like `"resnet50"`, `"resnext101"`, `"wide_resnet28_10"` or
            `"efficientnet_l1"`.
        **options: further arguments of the builder: `activation`,
            `num_classes`, `input_shape` and what else it takes.

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
    """The function that builds the network of this name.

    Args:
        argument: str. What the user calls the name, for the error.
        name: str.

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
    return int(text) if text.isdecimal() else text

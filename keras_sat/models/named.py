"""Networks by their names, for programs that are told one."""

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
    for pattern, builder in PATTERNS.items():
        found = re.fullmatch(pattern, name)
        if found:
            return builder(*map(_number, found.groups()), **options)
    return checks.refuse(
        "name",
        "be like 'resnet50', 'resnext101', 'wide_resnet28_10' or "
        "'efficientnet_l1'",
        name,
    )


def _number(text):
    return int(text) if text.isdecimal() else text

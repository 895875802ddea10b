"""Public definitions of networks in PyTorch, and their models here.

`tests/fixtures/torch/` holds the shapes of their state dicts, a rule for the
weights, and what they compute.
"""

import json
import zlib

import numpy as np
import tensorflow as tf

import keras_sat
from tests.test_case import FIXTURES

FOLDER = FIXTURES / "torch"


def torchvision(depth, **options):
    """Returns a ResNet for the small images of the definitions."""
    return keras_sat.resnet(
        depth, "relu", 10, (64, 64, 3), pool_padding="symmetric", **options
    )


# From the names of the definitions to the models that are equal to them.
BUILDERS = {
    "cifar_resnet18": lambda: keras_sat.resnet(
        18, "relu", 10, (32, 32, 3), "small", normalization=(0.0, 1.0)
    ),
    "convnext_tiny": lambda: keras_sat.convnext(
        "tiny", "gelu_exact", 10, (64, 64, 3), normalization=(0.0, 1.0)
    ),
    "convnext_tiny_convstem": lambda: keras_sat.convnext(
        "tiny",
        "gelu_exact",
        input_shape=(64, 64, 3),
        stem="conv",
        normalization=(0.0, 1.0),
    ),
    "dm_preact_resnet18_silu": lambda: keras_sat.preact_resnet(
        18,
        "silu",
        shortcut="input",
        shortcut_size=3,
        padding="same",
        normalization="cifar10",
    ),
    "dm_wide_resnet_28_10_silu": lambda: keras_sat.wide_resnet(
        28, 10, "silu", padding="same", normalization="cifar10"
    ),
    "preact_resnet18": lambda: keras_sat.preact_resnet(
        18,
        "relu",
        final_normalization=False,
        shortcut="input",
        normalization=(0.0, 1.0),
    ),
    "preact_resnet18_v2": lambda: keras_sat.preact_resnet(
        18, "relu", normalization=(0.0, 1.0)
    ),
    "torchvision_resnet18": lambda: torchvision(
        18,
        normalization=(0.0, 1.0),
    ),
    "torchvision_resnet50_normalized": lambda: torchvision(
        50,
        # Replaced by what the file holds.
        normalization=(0.1, 0.2),
    ),
    "torchvision_wide_resnet50_2": lambda: torchvision(
        50,
        group_width=128,
        normalization=(0.0, 1.0),
    ),
    "wide_resnet_28_10": lambda: keras_sat.wide_resnet(
        28, 10, "relu", normalization=(0.0, 1.0)
    ),
    "wide_resnet_34_10": lambda: keras_sat.wide_resnet(
        34, 10, "relu", normalization=(0.0, 1.0)
    ),
}
# Of all that are not named, it is ReLU.
ACTIVATIONS = {name: "relu" for name in BUILDERS} | {
    "convnext_tiny": "gelu_exact",
    "convnext_tiny_convstem": "gelu_exact",
    "dm_preact_resnet18_silu": "silu",
    "dm_wide_resnet_28_10_silu": "silu",
}
# Of many multiplications: among the large tests.
LARGE = {name for name in BUILDERS if "wide" in name} | {
    "torchvision_resnet50_normalized"
}


def reference(name):
    """What `tests/fixtures/torch/` says of a definition."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def state_dict(name):
    """The weights of a definition, by the rule of the fixtures."""
    content = reference(name)
    return {
        key: _weight(key, tuple(shape), content["constants"])
        for key, shape in content["shapes"].items()
    }


def _weight(name, shape, constants):
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return np.array(1, "int64")
    if name in constants:
        value = np.reshape(constants[name], shape)
    elif name.endswith("running_var"):
        value = generator.uniform(0.8, 1.2, shape)
    elif name.endswith("running_mean"):
        value = 0.05 * generator.standard_normal(shape)
    elif len(shape) >= 2:
        scale = np.sqrt(2 / np.prod(shape[1:]))
        value = generator.standard_normal(shape) * scale
    elif name.endswith("gamma"):
        value = generator.uniform(0.1, 0.3, shape)
    elif name.endswith("weight"):
        value = generator.uniform(0.8, 1.2, shape)
    else:
        value = 0.05 * generator.standard_normal(shape)
    return value.astype("float32")


def images(name):
    """The images of a definition, in `[0, 1]`."""
    shape = (4, *reference(name)["input_shape"])
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def logits_and_gradients(model, images):
    """Logits, and the gradient of the one of class `i` of image `i`."""
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = model(images, training=False)
        total = tf.linalg.trace(logits[:, : len(images)])
    return logits.numpy(), tape.gradient(total, images).numpy()

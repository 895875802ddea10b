"""A public robust network with many dead units, read from a file of arrays.

`tests/fixtures/fashion_mnist_convex.md` says where it comes from.
"""

import pathlib

import keras
import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
PATH = ROOT / "tests" / "fixtures" / "fashion_mnist_convex.npz"
# The layers of the original `torch.nn.Sequential` that have weights.
NUMBERS = ("0", "2", "5", "7")


def build():
    """Returns the network of the file: a `keras.Model` with its weights."""
    layers = keras.layers
    convolutions = []
    for filters in (16, 32):
        # PyTorch pads both sides by 1; "same" would pad them differently.
        convolutions.append(layers.ZeroPadding2D(1))
        convolutions.append(
            layers.Conv2D(filters, 4, strides=2, activation="relu")
        )
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            *convolutions,
            # PyTorch flattens channels first.
            layers.Permute((3, 1, 2)),
            layers.Flatten(),
            layers.Dense(100, activation="relu"),
            layers.Dense(10),
        ]
    )
    weights = []
    with np.load(PATH) as arrays:
        for number in NUMBERS:
            kernel = arrays[f"{number}.weight"]
            # (out, in, height, width) becomes (height, width, in, out).
            axes = [2, 3, 1, 0][-kernel.ndim :]
            weights.append(np.transpose(kernel, axes))
            weights.append(arrays[f"{number}.bias"])
    model.set_weights(weights)
    return model

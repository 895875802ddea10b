"""Networks in PyTorch, with the weights of those in `compare_autoattack.py`."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class ConvNet(nn.Module):
    """The twin of `convnet` in `compare_autoattack.py`."""

    def __init__(self):
        super().__init__()
        self.conv0 = nn.Conv2d(3, 16, 3, padding=1)
        self.conv1 = nn.Conv2d(16, 32, 3, padding=1)
        self.logits = nn.Linear(32, 10)

    def forward(self, x):
        """Returns logits of images `(batch, channels, height, width)`."""
        x = functional.silu(self.conv0(2 * x - 1))
        x = functional.avg_pool2d(x, 2)
        x = functional.silu(self.conv1(x))
        return self.logits(x.mean((2, 3)))


class Block(nn.Module):
    """The twin of a basic residual block."""

    def __init__(self, channels_in, channels, strides):
        super().__init__()
        self.conv1 = nn.Conv2d(
            channels_in, channels, 3, strides, padding=1, bias=False
        )
        self.conv1_bn = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.conv2_bn = nn.BatchNorm2d(channels)
        self.convshortcut = None
        if channels_in != channels or strides > 1:
            self.convshortcut = nn.Conv2d(
                channels_in, channels, 1, strides, bias=False
            )
            self.convshortcut_bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        """Returns the features after the block."""
        y = functional.silu(self.conv1_bn(self.conv1(x)))
        y = self.conv2_bn(self.conv2(y))
        if self.convshortcut is not None:
            x = self.convshortcut_bn(self.convshortcut(x))
        return functional.silu(x + y)


class ResNet18(nn.Module):
    """The twin of `resnet18` in `compare_autoattack.py`."""

    def __init__(self, filters):
        super().__init__()
        self.conv0 = nn.Conv2d(3, filters[0], 3, padding=1, bias=False)
        self.conv0_bn = nn.BatchNorm2d(filters[0])
        self.blocks = []
        before = filters[0]
        for i, channels in enumerate(filters):
            for j in range(2):
                strides = 2 if i and not j else 1
                block = Block(before, channels, strides)
                self.add_module(f"group{i}_block{j}", block)
                self.blocks.append(block)
                before = channels
        self.logits = nn.Linear(before, 10)

    def forward(self, x):
        """Returns logits of images `(batch, channels, height, width)`."""
        x = functional.silu(self.conv0_bn(self.conv0(2 * x - 1)))
        for block in self.blocks:
            x = block(x)
        return self.logits(x.mean((2, 3)))


def with_weights(twin, model):
    """Gives a PyTorch module the weights of a Keras model, name by name.

    Args:
        twin: `torch.nn.Module`, with submodules named like the layers.
        model: `keras.Model`.

    Returns:
        `twin`, in evaluation mode.
    """
    modules = {name.replace(".", "_"): m for name, m in twin.named_modules()}
    left = {name for name, m in modules.items() if not list(m.children())}
    for layer in model.layers:
        if not layer.weights:
            continue
        left.remove(layer.name)
        module, weights = modules[layer.name], layer.get_weights()
        if isinstance(module, nn.BatchNorm2d):
            names = "weight", "bias", "running_mean", "running_var"
            module.eps = layer.epsilon
        else:
            names = "weight", "bias"
            axes = (3, 2, 0, 1) if weights[0].ndim == 4 else (1, 0)
            weights[0] = weights[0].transpose(axes)
        for name, weight in zip(names, weights, strict=False):
            target = getattr(module, name)
            target.data = torch.from_numpy(np.ascontiguousarray(weight))
    if left:
        raise ValueError(f"No weights for {sorted(left)}.")
    return twin.eval()

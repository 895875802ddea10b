"""The names that PyTorch's definitions of networks give to their modules.

Each family is a table from the names of modules to the names of the layers that
this package's builders make. A word in braces stands for a number; `{n:1}` is
one that PyTorch counts from 1 and the layers from 0, `{n:-1}` the reverse.
"""

import functools
import re

BASIC_RESNET = {
    "conv1": "conv0",
    "bn1": "conv0_bn",
    "layer{s:1}.{b}.conv{n}": "group{s}_block{b}_conv{n}",
    "layer{s:1}.{b}.bn{n}": "group{s}_block{b}_conv{n}_bn",
}
TIMM_CONVNEXT = {
    "stages.{s}.downsample.0": "group{s}_downsample_norm",
    "stages.{s}.downsample.1": "group{s}_downsample",
    "stages.{s}.blocks.{b}": "group{s}_block{b}_scale",
    "stages.{s}.blocks.{b}.conv_dw": "group{s}_block{b}_depthwise",
    "stages.{s}.blocks.{b}.norm": "group{s}_block{b}_norm",
    "stages.{s}.blocks.{b}.mlp.fc1": "group{s}_block{b}_expand",
    "stages.{s}.blocks.{b}.mlp.fc2": "group{s}_block{b}_project",
    "head.norm": "head_norm",
    "head.fc": "logits",
}
FAMILIES = {
    "ResNet of torchvision": {
        **BASIC_RESNET,
        "layer{s:1}.{b}.downsample.0": "group{s}_block{b}_convshortcut",
        "layer{s:1}.{b}.downsample.1": "group{s}_block{b}_convshortcut_bn",
        "fc": "logits",
    },
    "ResNet for CIFAR": {
        **BASIC_RESNET,
        "layer{s:1}.{b}.shortcut.0": "group{s}_block{b}_convshortcut",
        "layer{s:1}.{b}.shortcut.1": "group{s}_block{b}_convshortcut_bn",
        "linear": "logits",
    },
    "pre-activation ResNet": {
        "conv1": "conv0",
        "layer{s:1}.{b}.bn{n}": "group{s}_block{b}_conv{n}_bn",
        "layer{s:1}.{b}.conv{n}": "group{s}_block{b}_conv{n}",
        "layer{s:1}.{b}.shortcut.0": "group{s}_block{b}_convshortcut",
        "bn": "final_bn",
        "linear": "logits",
    },
    "pre-activation ResNet of DeepMind": {
        "conv_2d": "conv0",
        "layer_{s}.{b}.batchnorm_{n:-1}": "group{s}_block{b}_conv{n}_bn",
        "layer_{s}.{b}.conv_2d_{n}": "group{s}_block{b}_conv{n}",
        "layer_{s}.{b}.shortcut": "group{s}_block{b}_convshortcut",
        "batchnorm": "final_bn",
        "logits": "logits",
    },
    "WideResNet of TRADES": {
        "conv1": "conv0",
        "block{s:1}.layer.{b}.bn{n}": "group{s}_block{b}_conv{n}_bn",
        "block{s:1}.layer.{b}.conv{n}": "group{s}_block{b}_conv{n}",
        "block{s:1}.layer.{b}.convShortcut": "group{s}_block{b}_convshortcut",
        "bn1": "final_bn",
        "fc": "logits",
    },
    "WideResNet of DeepMind": {
        "init_conv": "conv0",
        "layer.{s}.block.{b}.batchnorm_{n:-1}": "group{s}_block{b}_conv{n}_bn",
        "layer.{s}.block.{b}.conv_{n:-1}": "group{s}_block{b}_conv{n}",
        "layer.{s}.block.{b}.shortcut": "group{s}_block{b}_convshortcut",
        "batchnorm": "final_bn",
        "logits": "logits",
    },
    "ConvNeXt of timm": {
        "stem.0": "stem",
        "stem.1": "stem_norm",
        **TIMM_CONVNEXT,
    },
    "ConvNeXt with convolutional stem": {
        "stem.stem.0": "stem0",
        "stem.stem.1": "stem0_norm",
        "stem.stem.3": "stem1",
        "stem.stem.4": "stem1_norm",
        "stem.stem.6": "stem2",
        "stem.stem.7": "stem2_norm",
        **TIMM_CONVNEXT,
    },
    "ConvNeXt of its authors": {
        "downsample_layers.0.0": "stem",
        "downsample_layers.0.1": "stem_norm",
        "downsample_layers.{s}.0": "group{s}_downsample_norm",
        "downsample_layers.{s}.1": "group{s}_downsample",
        "stages.{s}.{b}": "group{s}_block{b}_scale",
        "stages.{s}.{b}.dwconv": "group{s}_block{b}_depthwise",
        "stages.{s}.{b}.norm": "group{s}_block{b}_norm",
        "stages.{s}.{b}.pwconv1": "group{s}_block{b}_expand",
        "stages.{s}.{b}.pwconv2": "group{s}_block{b}_project",
        "norm": "head_norm",
        "head": "logits",
    },
}
# Tensors that are not weights of any layer: counters of batches; a stage that
# the authors of TRADES made and never used; and what RobustBench's own loader
# leaves out, of layers and masks that only the training had.
IGNORABLE = re.compile(
    r"(^|\.)(num_batches_tracked$|sub_block1\.|model_preact_hl1\.|scores$)"
)
# The names of the tensors of a module, for each name of a Keras weight.
PARTS = {
    "alpha": "weight",
    "beta": "bias",
    "bias": "bias",
    "gamma": "weight",
    "kernel": "weight",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "scale": "gamma",
}
NUMBER = re.compile(r"\{(\w+)(?::(-?\d+))?\}")


def layer_of(family, module):
    """Returns the name of the layer of a module, or `None`.

    Args:
        family: str. A key of `FAMILIES`.
        module: str. The name of a module in PyTorch, without a prefix.
    """
    for pattern, layer in FAMILIES[family].items():
        found = _pattern(pattern).fullmatch(module)
        if found:
            return _filled(layer, found, pattern, -1)
    return None


def module_of(family, layer):
    """Returns the name of the module of a layer, or `None`.

    Args:
        family: str. A key of `FAMILIES`.
        layer: str. The name of a layer of one of this package's networks.
    """
    for module, pattern in FAMILIES[family].items():
        found = _pattern(pattern).fullmatch(layer)
        if found:
            return _filled(module, found, module, 1)
    return None


@functools.cache
def _pattern(template):
    """Returns the pattern of the names that a template stands for."""
    parts = NUMBER.split(template)
    # In turns: what stands between numbers, the name of one, and its shift.
    texts, names = [re.escape(text) for text in parts[::3]], parts[1::3]
    groups = [f"(?P<{name}>\\d{{1,4}})" for name in names]
    pairs = zip(texts, [*groups, ""], strict=True)
    return re.compile("".join(text + group for text, group in pairs))


def _filled(template, found, shifted, sign):
    """Returns the name that a template stands for.

    Args:
        template: str.
        found: `re.Match` with the numbers.
        shifted: str. The template whose numbers may count from elsewhere.
        sign: int. 1 or -1: whether to add these shifts, or to subtract them.
    """
    shifts = {name: int(shift or 0) for name, shift in NUMBER.findall(shifted)}

    def number(match):
        name = match[1]
        return str(int(found[name]) + sign * shifts[name])

    return NUMBER.sub(number, template)

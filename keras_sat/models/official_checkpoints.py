"""Loading of the TF1 checkpoints of the authors of the paper."""

import contextlib
import re

import tensorflow as tf

from keras_sat import checks

# From the names of weights in Keras to those in the official ResNets.
RESNET_WEIGHTS = {
    "kernel": "W",
    "bias": "b",
    "gamma": "gamma",
    "beta": "beta",
    "moving_mean": "mean/EMA",
    "moving_variance": "variance/EMA",
    "root": "smoothrelu_beta",
}

# From the names of layers to those in the official EfficientNets, which are
# numbered in the order of their creation, in each block from the start.
EFFICIENTNET_ENDS = {
    "stem": "stem/conv2d",
    "stem_bn": "stem/tpu_batch_normalization",
    "head": "head/conv2d",
    "head_bn": "head/tpu_batch_normalization",
    "logits": "head/dense",
}
EFFICIENTNET_BLOCK = {
    "expand": "conv2d",
    "expand_bn": "tpu_batch_normalization",
    "depthwise": "depthwise_conv2d",
    "depthwise_bn": "tpu_batch_normalization_1",
    "se_reduce": "se/conv2d",
    "se_expand": "se/conv2d_1",
    "project": "conv2d_1",
    "project_bn": "tpu_batch_normalization_2",
}
EFFICIENTNET_BLOCK_WITHOUT_EXPANSION = {
    "depthwise": "depthwise_conv2d",
    "depthwise_bn": "tpu_batch_normalization",
    "se_reduce": "se/conv2d",
    "se_expand": "se/conv2d_1",
    "project": "conv2d",
    "project_bn": "tpu_batch_normalization_1",
}

AVERAGE = "/ExponentialMovingAverage"
# Variables that a training run saves besides the weights of the model.
LEFT_OVER = re.compile(
    r"(^|/)(global_step|learning_rate|loss_scale|beta[12]_power|"
    r"(RMSProp|Momentum|Adam)(_\d)?)(/|$)|^EMA/"
)


def load_official_checkpoint(
    model, path, moving_averages=False, reverse_channels=None
):
    """Loads the weights of a checkpoint of the official repository.

    The model changes only if each of its weights has exactly one counterpart
    among the variables of the file. Activations without weights are not stored
    in the file, so they cannot be checked: the name of the file tells which
    activation to build the model with.

    Args:
        model: `keras.Model` from `resnet`, `resnext`, `efficientnet`,
            `models.residual_network` or `models.scaled_efficientnet`.
        path: str or path. Prefix of the files of the checkpoint, such as
            `"Res50-silu/Res50-silu"`, or a folder with one.
        moving_averages: bool. Whether to read the exponential moving averages
            of all weights. The authors use them for the evaluation of
            L1-Enhanced, and for no other network. Defaults to `False`.
        reverse_channels: bool. Whether the network was trained on BGR images:
            the first convolution is then reversed, so that the model takes
            RGB images. By default, this is done for ResNets.

    Returns:
        list of str. The variables of the file that were ignored, like the
        state of the optimizer.

    Raises:
        TypeError: If `path` is not a path, or `model` a `SATModel`.
        ValueError: If the file cannot be read, or belongs to a model of
            another architecture, size or activation, or if the authors have
            no model like `model`.

    Example:

    ```python
    model = keras_sat.resnet(50, activation="silu")
    keras_sat.load_official_checkpoint(model, "Res50-silu/Res50-silu")
    ```

    Reference:
    - [Official code](https://github.com/cihangxie/SmoothAdversarialTraining)
    """
    checks.keras_network("model", model)
    names = variable_names(model)
    weights = _weights(model)
    path = checks.path("path", path)
    with _refusing_broken_files(path):
        reader = tf.train.load_checkpoint(path)
        shapes = reader.get_variable_to_shape_map()
    stored, ignored = _choose(shapes, moving_averages)
    _refuse_differences(path, names, weights, stored, shapes)
    with _refusing_broken_files(path):
        values = {
            key: reader.get_tensor(stored[name]) for key, name in names.items()
        }
    _reverse_channels(values, reverse_channels)
    # Only now, so that a model never gets half of a file.
    for key, weight in weights.items():
        weight.assign(values[key].reshape(weight.shape))
    return ignored


def _reverse_channels(values, reverse):
    """Turns the first convolution from BGR to RGB, in place.

    Args:
        values: dict from pairs of names to arrays.
        reverse: bool, or `None` to do it for ResNets only.
    """
    resnet, efficientnet = ("conv0", "kernel"), ("stem", "kernel")
    if reverse is None:
        reverse = resnet in values
    if reverse:
        first = resnet if resnet in values else efficientnet
        values[first] = values[first][:, :, ::-1]


def variable_names(model):
    """Returns the name of each weight of a model in official checkpoints.

    Args:
        model: `keras.Model`. See `load_official_checkpoint`.

    Returns:
        dict from pairs of the names of a layer and a weight, such as
        `("conv0_bn", "moving_mean")`, to names such as `"conv0/bn/mean/EMA"`,
        without the scope that the official EfficientNets begin with.

    Raises:
        ValueError: If the authors have no such model.
    """
    layers = {layer.name for layer in getattr(model, "layers", [])}
    if {"conv0", "group0_block0_conv3", "logits"} <= layers:
        names = {key: _resnet_name(*key) for key in _weights(model)}
    elif {"stem", "block0_depthwise", "logits"} <= layers:
        names = {
            key: _efficientnet_name(*key, layers) for key in _weights(model)
        }
    else:
        names = {None: None}
    unknown = [key for key, name in names.items() if name is None]
    if unknown:
        checks.refuse(
            "model",
            "be a bottleneck ResNet, ResNeXt or EfficientNet of this package, "
            "with an activation of the official code",
            model,
        )
    return names


def _weights(model):
    """Returns the weights of a model by the names of layer and weight."""
    return {
        (layer.name, weight.name): weight
        for layer in model.layers
        for weight in layer.weights
    }


def _resnet_name(layer, weight):
    """Returns the official name of a weight of a ResNet, or `None`."""
    if weight not in RESNET_WEIGHTS:
        return None
    layer = "linear" if layer == "logits" else layer
    scope = layer.removesuffix("_activation").replace("_", "/")
    return f"{scope}/{RESNET_WEIGHTS[weight]}"


def _efficientnet_name(layer, weight, layers):
    """Returns the official name of a weight of an EfficientNet, or `None`.

    Args:
        layer: str. Name of its layer.
        weight: str.
        layers: set of str. The names of all layers of the model.
    """
    if layer in EFFICIENTNET_ENDS:
        return f"{EFFICIENTNET_ENDS[layer]}/{weight}"
    block, _, part = layer.partition("_")
    parts = EFFICIENTNET_BLOCK
    if f"{block}_expand" not in layers:
        parts = EFFICIENTNET_BLOCK_WITHOUT_EXPANSION
    if part not in parts:
        return None
    weight = "depthwise_kernel" if part == "depthwise" else weight
    return f"{block.replace('block', 'blocks_')}/{parts[part]}/{weight}"


@contextlib.contextmanager
def _refusing_broken_files(path):
    """Turns errors of reading into one that names the path."""
    try:
        yield
    except (tf.errors.OpError, IndexError, ValueError) as error:
        reason = str(error).split("\n")[0]
        checks.refuse("path", "be a complete TF1 checkpoint", path, reason)


def _choose(shapes, moving_averages):
    """Chooses the variables of a file that belong to a model.

    Args:
        shapes: dict from the names of all variables in the file to shapes.
        moving_averages: bool. Whether to choose averages, or weights.

    Returns:
        dict from names without scope and suffix to the names in the file, and
        the list of the names to be ignored.
    """
    stored, ignored = {}, []
    for name in sorted(shapes):
        is_average = name.endswith(AVERAGE)
        if LEFT_OVER.search(name) or is_average != moving_averages:
            ignored.append(name)
            continue
        plain = name.removesuffix(AVERAGE)
        stored[re.sub("^efficientnet-[^/]*/", "", plain)] = name
    return stored, ignored


def _refuse_differences(path, names, weights, stored, shapes):
    """Refuses a file whose variables are not those of the model.

    Args:
        path: str. The checkpoint, for the error.
        names: dict. See `variable_names`.
        weights: dict. See `_weights`.
        stored: dict. See `_choose`.
        shapes: dict from the names of variables in the file to shapes.
    """
    wanted = set(names.values())
    missing, left = wanted - set(stored), set(stored) - wanted
    differences = [f"{name} is missing" for name in sorted(missing)]
    differences += [f"{name} is left" for name in sorted(left)]
    for key, name in names.items():
        shape = tuple(weights[key].shape)
        found = tuple(shapes[stored[name]]) if name in stored else shape
        # Some batch statistics have the shape (1, 1, 1, 1, channels).
        if found != (1,) * (len(found) - len(shape)) + shape:
            differences.append(f"{name} has the shape {found}, not {shape}")
    if differences:
        shown = "; ".join(differences[:3])
        checks.refuse(
            "path",
            "be a checkpoint of a model like `model`",
            path,
            f"{len(differences)} differences: {shown}.",
        )

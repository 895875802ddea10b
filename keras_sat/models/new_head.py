"""Pretrained networks with a head for other classes."""

import keras

from keras_sat import checks
from keras_sat.checks import graphs
from keras_sat.models import pixel_values
from keras_sat.models.conversion import convert_activations
from keras_sat.models.features import features

FREEZES = ("backbone", "normalization", "nothing")
# As in the networks of this package: attacks run with the moving statistics,
# which must not lag behind the weights.
MOMENTUM = 0.9
# Types of numbers that a network follows the current policy to. Others, and
# layers that scale pixels, stay as they are.
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def with_new_head(
    network,
    num_classes,
    activation="silu",
    *,
    input_shape=None,
    normalization="auto",
    freeze="nothing",
    momentum=MOMENTUM,
    print_fn=None,
):
    """Builds a classifier of other classes on a pretrained network.

    The last dense layer of `network`, or what does the same, gives way to a new
    one; maps of features are averaged first. What comes before keeps its
    weights, gets other activations, and takes images in `[0, 1]`. `network`
    itself is not changed.

    Args:
        network: built functional or sequential `keras.Model`, with a head or
            without: of `keras.applications`, of KerasHub, of this package, or
            your own; or a `SATModel` of one.
        num_classes: int >= 2.
        activation: for the places that are not smooth; see
            `convert_activations`. Defaults to `"silu"`.
        input_shape: tuple `(height, width, channels)` of the images that are
            to be classified, as a check. Defaults to none.
        normalization: what is to be done to images in `[0, 1]` before `network`
            sees them. `"unit"`: nothing; `"levels"`: it takes 0 to 255;
            `"caffe"`, `"tf"` and `"torch"` are the modes of
            `keras.applications`; `"imagenet"`, `"cifar10"` and pairs `(mean,
            std)` those of `resnet`. `"auto"` finds out from a layer of
            `network` that scales pixels, from the `value_range` of a
            `SATModel`, or from the preprocessor of KerasHub. Defaults to
            `"auto"`.
        freeze: str. What keeps its weights in training: `"nothing"`,
            `"normalization"` (every batch normalization, statistics included)
            or `"backbone"` (all but the head). What `network` has frozen
            remains so. Defaults to `"nothing"`.
        momentum: float in `[0, 1]`, of each batch normalization. Defaults to
            `0.9`.
        print_fn: see `convert_activations`.

    Returns:
        `keras.Model` from images in `[0, 1]` to logits.

    Raises:
        TypeError: If `network` is no Keras model.
        ValueError: If `network` has no features that a head could take, no
            weights to keep, or none that may be trained; if it takes other
            images; or if nothing tells how it wants them.

    Example:

    ```python
    backbone = keras.applications.EfficientNetV2B0(include_top=False)
    network = keras_sat.models.with_new_head(backbone, num_classes=5)
    model = keras_sat.SATModel(network)
    ```
    """
    checks.integer("num_classes", num_classes, least=2)
    body = pretrained_body(network)
    shape = body.inputs[0].shape[1:]
    check_options(shape, input_shape, normalization, freeze)
    checks.probability("momentum", momentum)
    images = keras.Input(shape, name="images")
    values = pixel_values.taken_from_unit(images, network, normalization)
    backbone = convert_activations(
        body, activation, momentum=momentum, print_fn=print_fn
    )
    _follow_policy(backbone)
    _freeze(backbone, freeze)
    x = backbone(values)
    if len(x.shape) == 4:
        x = keras.layers.GlobalAveragePooling2D(name="average")(x)
    # In float32 under any policy, as in the other networks of this package.
    head = keras.layers.Dense(num_classes, dtype="float32", name="logits")
    return keras.Model(images, head(x), name=f"{body.name}_with_new_head")


def pretrained_body(network):
    """Returns a pretrained network without its head; see `features`.

    Args:
        network: see `with_new_head`.
    """
    inner = network
    if isinstance(network, keras.Model):
        inner = graphs.network_of(network)
    return features("network", inner)


def check_options(shape, input_shape, normalization, freeze):
    """Checks arguments of `with_new_head` against the images of a network.

    Args:
        shape: tuple `(height, width, channels)`. What the network takes.
        input_shape, normalization, freeze: see `with_new_head`.

    Raises:
        ValueError: If one of them is none, or does not fit.
    """
    checks.one_of("freeze", freeze, FREEZES)
    pixel_values.check(normalization, shape[-1])
    fits = input_shape is None or (
        len(input_shape) == len(shape)
        and all(
            size in (None, wanted)
            for size, wanted in zip(shape, input_shape, strict=True)
        )
    )
    if not fits:
        checks.refuse(
            "input_shape",
            f"be that of the pretrained network, {tuple(shape)}",
            tuple(input_shape),
            "Load pictures of its size, with its number of channels, or build "
            "the network for others.",
        )


def _follow_policy(backbone):
    """Gives layers the current dtype policy; images keep their precision."""
    policy = keras.config.dtype_policy()
    if policy.name not in POLICIES:
        return
    for layer in backbone._flatten_layers():
        scales = isinstance(layer, pixel_values.SCALES)
        if layer.dtype_policy.name in POLICIES and not scales:
            layer.dtype_policy = policy


def _freeze(backbone, freeze):
    """Lets layers keep their weights; see `with_new_head`."""
    if freeze == "backbone":
        backbone.trainable = False
        return
    if not backbone.trainable_variables:
        checks.refuse(
            "network",
            "have weights that may be trained",
            checks.Described(f"{backbone.name!r}, in which all are frozen"),
            "Set network.trainable = True, or give freeze='backbone' to train "
            "the head alone.",
        )
    if freeze == "normalization":
        for layer in backbone._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False

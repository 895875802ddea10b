"""A network without its head: from images to the features in front of it."""

import keras

from keras_sat import checks
from keras_sat.checks import graphs


def features(name, network):
    """Returns a network without its last layer of weights, if that is a head.

    A head is a dense layer, or a convolution of a single pixel, that makes the
    outputs `(batch, num_classes)`; an activation or a flattening behind it goes
    with it. A network that has no head is returned whole.

    Args:
        name: str. The argument that the network was given for, for errors.
        network: functional or sequential `keras.Model`.

    Returns:
        `keras.Model` from images to features: maps `(batch, height, width,
        channels)`, or `(batch, channels)`. It has the layers of `network`.

    Raises:
        TypeError: If `network` is no Keras model, or a `SATModel`.
        ValueError: If it is not a graph of layers from one tensor of images to
            one tensor of such features, or if nothing in front of the head has
            weights.
    """
    checks.layer_graph(name, network)
    _check_ends(name, network)
    body = network
    if len(network.outputs[0].shape) == 2:
        body = _without_head(network) or network
    shape = body.outputs[0].shape
    if len(shape) not in (2, 4):
        checks.refuse(
            name,
            "have features (batch, height, width, channels) or (batch, "
            "channels) in front of its head",
            checks.Described(f"features of the shape {tuple(shape)}"),
            "Pool or flatten them: keras.Model(network.inputs[0], pooled).",
        )
    if not body.weights:
        checks.refuse(
            name,
            "have weights in front of its head, which the new classifier keeps",
            checks.Described(f"{network.name!r} with none"),
        )
    return body


def _check_ends(name, network):
    """Refuses what does not map one tensor of images to one tensor."""
    for what, tensors in (
        ("one tensor of images (batch, height, width, channels)", "inputs"),
        ("one tensor of features or logits", "outputs"),
    ):
        shapes = [tuple(tensor.shape) for tensor in getattr(network, tensors)]
        if len(shapes) != 1 or (tensors == "inputs" and len(shapes[0]) != 4):
            verb = "take" if tensors == "inputs" else "return"
            checks.refuse(
                name,
                f"{verb} {what}",
                checks.Described(f"{tensors} of the shapes {shapes}"),
            )


def _without_head(network):
    """Returns a network up to its head; `None` if it has none.

    Args:
        network: functional or sequential `keras.Model`.
    """
    # Not in a list: the model would want its images in one, too.
    images, tensor = network.inputs[0], network.outputs[0]
    while True:
        part, index, _ = tensor._keras_history
        node = part._inbound_nodes[index]
        if len(node.input_tensors) != 1:
            return None
        (before,) = node.input_tensors
        if graphs.is_graph(part):
            body = _without_head(part)
            if body is not None:
                return keras.Model(images, body(before), name=network.name)
        if graphs.has_weights(part):
            if not _is_head(part, before, node.output_tensors[0]):
                return None
            return keras.Model(images, before, name=network.name)
        tensor = before


def _is_head(part, before, after):
    """Tells if a layer makes logits of features."""
    if isinstance(part, keras.layers.Dense):
        return True
    convolution = keras.layers.Conv2D
    pixels = [tuple(tensor.shape[1:3]) for tensor in (before, after)]
    return isinstance(part, convolution) and pixels == [(1, 1), (1, 1)]

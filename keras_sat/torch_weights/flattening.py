"""The layers of a model that take a whole image as a vector.

PyTorch flattens an image with its channels first, Keras with its channels
last: the weights of the next layer have another order.
"""

import keras

from keras_sat.checks import graphs

# Layers that keep the place of each number.
ELEMENTWISE = (
    keras.layers.Activation,
    keras.layers.BatchNormalization,
    keras.layers.Dropout,
    keras.layers.LayerNormalization,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
)


def layers(model):
    """Lists the layers with weights, in the order of the graph.

    Args:
        model: `keras.Model`. Layers of nested models are listed, too.

    Returns:
        list of `keras.layers.Layer`.
    """
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += layers(layer)
        elif layer.weights:
            found.append(layer)
    return found


def images(model):
    """Finds the layers before which an image is flattened.

    Args:
        model: `keras.Model`.

    Returns:
        dict from the `id` of a layer to the shape `(height, width, channels)`
        of the image. It has no entry for a layer of a model that moves the
        channels to the front itself.
    """
    inputs = _inputs_of_nested(model)
    shapes = {id(layer): _image(layer, inputs) for layer in layers(model)}
    return {key: shape for key, shape in shapes.items() if shape is not None}


def _image(layer, inputs):
    """Returns the shape of the image that a layer takes as a vector."""
    flatten = _before_elementwise(layer, inputs)
    if not isinstance(flatten, keras.layers.Flatten | keras.layers.Reshape):
        return None
    shape = tuple(flatten.input.shape[1:])
    if len(shape) != 3 or None in shape or len(flatten.output.shape) != 2:
        return None
    if getattr(flatten, "data_format", None) == "channels_first":
        # Keras moves these channels to the end before it flattens.
        return (*shape[1:], shape[0])
    source = _before_elementwise(flatten, inputs)
    if isinstance(source, keras.layers.Permute) and source.dims == (3, 1, 2):
        return None
    return shape


def _before_elementwise(layer, inputs):
    """Returns what comes before a layer and before elementwise layers."""
    before = _before(layer, inputs)
    while isinstance(before, ELEMENTWISE):
        before = _before(before, inputs)
    return before


def _before(layer, inputs):
    """Returns the layer that the only input of a layer comes from, or `None`.

    Args:
        layer: `keras.layers.Layer`.
        inputs: see `_inputs_of_nested`.
    """
    nodes = getattr(layer, "_inbound_nodes", ())
    if not nodes or len(nodes[0].input_tensors) != 1:
        return None
    before = _origin(nodes[0].input_tensors[0])
    while graphs.is_graph(before):
        before = _origin(before.outputs[0])
    if id(before) in inputs:
        return _before(inputs[id(before)], inputs)
    return before


def _inputs_of_nested(model):
    """Returns a dict from the ids of inputs to the nested models of these."""
    found = {}
    for layer in model.layers:
        if graphs.is_graph(layer) and len(layer.inputs) == 1:
            found[id(_origin(layer.inputs[0]))] = layer
            found |= _inputs_of_nested(layer)
    return found


def _origin(tensor):
    """Returns the layer or operation that a symbolic tensor comes from."""
    return tensor._keras_history.operation

"""The activations of a Keras model: where they are, and which ones."""

import keras

from keras_sat import checks
from keras_sat.checks import graphs

# From classes of layers and operations to the functions that they compute.
CLASSES = {
    "CELU": "celu",
    "Celu": "celu",
    "ELU": "elu",
    "Elu": "elu",
    "Gelu": "gelu",
    "HardShrink": "hard_shrink",
    "HardSigmoid": "hard_sigmoid",
    "HardSigmoidActivation": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "HardSwish": "hard_silu",
    "HardTanh": "hard_tanh",
    "LeakyReLU": "leaky_relu",
    "LeakyRelu": "leaky_relu",
    "LogSoftmax": "log_softmax",
    "Mish": "mish",
    "PReLU": "prelu",
    "ParametricSoftplus": "parametric_softplus",
    "ReLU": "relu",
    "ReLU6": "relu6",
    "ReLUWithGradientOf": "relu_with_gradient_of",
    "Relu": "relu",
    "Relu6": "relu6",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Silu": "silu",
    "SmoothReLU": "smoothrelu",
    "SoftShrink": "soft_shrink",
    "Softmax": "softmax",
    "Softplus": "softplus",
    "SparsePlus": "sparse_plus",
    "Squareplus": "squareplus",
    "Tanh": "tanh",
    "Threshold": "threshold",
}
NON_SMOOTH = (
    "hard_shrink hard_silu hard_tanh leaky_relu prelu relu relu6 selu "
    "soft_shrink sparse_plus threshold"
).split()
SMOOTH = (
    "celu elu gelu gelu_exact mish parametric_softplus silu smoothrelu "
    "softplus squareplus"
).split()
GATES = "hard_sigmoid log_softmax sigmoid softmax tanh".split()
KNOWN = {*NON_SMOOTH, *SMOOTH, *GATES, "relu_with_gradient_of"}


def activation_sites(model):
    """Lists the activations of a model.

    Args:
        model: built `keras.Model`, functional or sequential. Nested models and
            the layers inside other layers are searched as well.

    Returns:
        list of pairs of str, in the order of the graph: the place, such as
        `"backbone/conv1"`, and the kind of activation, such as `"relu"`. A hard
        sigmoid or hard swish that consists of several operations counts once.

    Raises:
        TypeError: If `model` is not a Keras model, or a `SATModel`.
        ValueError: If it is subclassed or not built.

    Example:

    ```python
    model = keras.applications.MobileNetV3Small(weights=None)
    kinds = collections.Counter(kind for _, kind in activation_sites(model))
    ```
    """
    checks.layer_graph("model", model)
    return list(_walk(model, ""))


def _walk(model, path):
    """Yields the activations of a model; see `activation_sites`."""
    patterns = hard_patterns(model)
    for part in graphs.parts(model):
        where = f"{path}{part.name}"
        if graphs.is_graph(part):
            yield from _walk(part, f"{where}/")
        elif id(part) in patterns:
            if patterns[id(part)]:
                yield where, patterns[id(part)]
        elif name_of(part):
            yield where, name_of(part)
        elif isinstance(part, keras.layers.Layer):
            for owner, attribute in inner_sites(part):
                name = name_of(getattr(owner, attribute))
                yield f"{where}{inner_path(part, owner, attribute)}", name


def inner_path(layer, owner, attribute):
    """Returns the end of the path of an activation inside a layer.

    Args:
        layer: `keras.layers.Layer`, whose name the path begins with.
        owner: `keras.layers.Layer`. The one that keeps the activation: `layer`,
            or one inside it.
        attribute: str. The attribute of `owner` that it is kept in.

    Returns:
        str. Empty, or beginning with a slash.
    """
    # A `WithActivations` has the same name as the layer inside it.
    if owner.name != layer.name:
        return f"/{owner.name}/{attribute}"
    return "" if attribute == "activation" else f"/{attribute}"


def name_of(part):
    """Returns the name of an activation, or `None` for anything else.

    Args:
        part: layer, operation or function.
    """
    if isinstance(part, keras.layers.Activation):
        return name_of(part.activation)
    kind = type(part).__name__
    if kind in ("ReLU", "Relu"):
        return _kind_of_relu(part)
    if kind in CLASSES:
        return CLASSES[kind]
    name = getattr(part, "__name__", None)
    return name if name in KNOWN and callable(part) else None


def _kind_of_relu(part):
    """Tells ReLU, leaky ReLU and ReLU6 apart, which Keras has one class for."""
    if getattr(part, "negative_slope", 0):
        return "leaky_relu"
    return "relu" if getattr(part, "max_value", None) is None else "relu6"


def inner_sites(layer):
    """Finds the activations that a layer keeps in its attributes.

    Args:
        layer: `keras.layers.Layer`, which may contain others.

    Yields:
        Pairs of a layer, the given one or one inside it, and the name of its
        attribute.
    """
    for owner in layer._flatten_layers():
        if name_of(owner):
            continue
        for attribute, value in sorted(vars(owner).items()):
            # A `WithActivations` keeps the new activation in a private one.
            if not attribute.startswith("_") and name_of(value):
                yield owner, attribute


def hard_patterns(model):
    """Finds hard sigmoids and swishes that consist of several operations.

    MobileNetV3 writes a hard sigmoid as `relu6(x + 3) / 6`, and a hard swish as
    `x` times that.

    Args:
        model: functional or sequential `keras.Model`.

    Returns:
        dict from the id of an operation to the name of the activation whose
        last operation it is, or to `None` if other operations follow.
    """
    found = {}
    # Such a pattern needs several inputs, or operations instead of layers.
    if isinstance(model, keras.Sequential):
        return found
    for operation in model.operations:
        relu = _hard_sigmoid(_outputs(operation))
        if relu is not None and name_of(operation):
            found[id(operation)] = "hard_sigmoid"
    for operation in model.operations:
        relu, _ = hard_swish(operation)
        if relu is not None:
            found[id(relu)] = None
            found[id(operation)] = "hard_silu"
    return found


def hard_swish(operation):
    """Recognizes the multiplication that a hard swish ends with.

    Args:
        operation: layer or operation.

    Returns:
        The operation that computes the ReLU6, and the position of `x` among the
        inputs of `operation`; a pair of `None` if this is no hard swish.
    """
    inputs = _inputs(operation)
    if type(operation).__name__ == "Multiply" and len(inputs) == 2:
        for position in (0, 1):
            gate = _hard_sigmoid([inputs[1 - position]])
            if gate is not None and gate[1] is inputs[position]:
                return gate[0], position
    return None, None


def _hard_sigmoid(tensors):
    """Recognizes tensors `relu6(x + 3) / 6`.

    Returns:
        The operation that computes the ReLU6, and the tensor `x`; `None` if
        the tensors are something else.
    """
    if len(tensors) != 1:
        return None
    operation = _origin(tensors[0])
    if type(operation).__name__ in ("Multiply", "TrueDivide", "Divide"):
        if len(_inputs(operation)) == 1:
            operation = _origin(_inputs(operation)[0])
    if operation is None or name_of(operation) != "relu6":
        return None
    before = _origin(_inputs(operation)[0])
    if type(before).__name__ != "Add" or 3.0 not in _constants(before):
        return None
    return operation, _inputs(before)[0]


def policy(part):
    """Returns the dtype policy of a layer, before it was quantized.

    Args:
        part: layer, or operation of a functional model. An operation has the
            policy of the layer before it.

    Returns:
        str. The name of the policy, because not every layer can save an object.
    """
    layer = part
    while not isinstance(layer, keras.layers.Layer):
        layer = _origin(_inputs(layer)[0])
    # The policies of quantized layers have names like "int8_from_float32".
    name = layer.dtype_policy.name.split("_from_")[-1]
    if part is layer:
        return name
    dtype = _outputs(part)[0].dtype
    same = keras.DTypePolicy(name).compute_dtype == dtype
    return name if same else dtype


def _node(operation):
    """Returns the node of the first call of an operation, or `None`."""
    nodes = getattr(operation, "_inbound_nodes", None)
    return nodes[0] if nodes else None


def _inputs(operation):
    node = _node(operation)
    return list(node.input_tensors) if node else []


def _outputs(operation):
    node = _node(operation)
    return list(node.output_tensors) if node else []


def _origin(tensor):
    """Returns the operation that made a symbolic tensor."""
    return tensor._keras_history.operation


def _constants(operation):
    """Returns the numbers among the arguments of an operation."""
    values = keras.tree.flatten(_node(operation).arguments.args)
    return [value for value in values if isinstance(value, int | float)]

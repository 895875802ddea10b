"""Activations by their names, and new layers of them."""

import keras

from keras_sat import checks
from keras_sat.activations import functions
from keras_sat.activations.layers import SmoothReLU

# From names to functions, and to the class of a layer with weights.
NAMES = {
    "celu": functions.celu,
    "elu": functions.elu,
    "gelu": functions.gelu,
    "gelu_exact": functions.gelu_exact,
    "mish": functions.mish,
    "parametric_softplus": functions.parametric_softplus,
    "relu": functions.relu,
    "silu": functions.silu,
    "smoothrelu": SmoothReLU,
    "softplus": functions.softplus,
    "squareplus": functions.squareplus,
    "swish": functions.silu,
}


def get(identifier):
    """Returns the activation for a name, class, configuration or callable.

    Args:
        identifier: one of
            - str: `"relu"`, `"softplus"`, `"parametric_softplus"`, `"silu"`
              (also `"swish"`), `"gelu"` (with tanh, as in the official code),
              `"gelu_exact"`, `"elu"`, `"celu"`, `"mish"`, `"squareplus"` or
              `"smoothrelu"`;
            - a layer class: an object with the default arguments is made;
            - dict: a configuration from `keras.saving.serialize_keras_object`;
            - any other callable, like a configured layer: returned unchanged.

    Returns:
        A callable from a tensor to a tensor of the same shape and dtype.

    Raises:
        TypeError: If `identifier` is none of these.
        ValueError: If the name is unknown.

    Example:

    ```python
    smooth = keras_sat.activations.get("silu")
    sharp = keras_sat.activations.get(keras_sat.SmoothReLU(alpha=100.0))
    ```
    """
    if isinstance(identifier, str):
        identifier = checks.lookup("activation", identifier, NAMES)
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    is_class = isinstance(identifier, type)
    if is_class and issubclass(identifier, keras.layers.Layer):
        return identifier()
    if is_class or not callable(identifier):
        checks.refuse(
            "activation",
            f"be one of {sorted(NAMES)}, a layer, a layer class or a callable",
            identifier,
            error=TypeError,
        )
    return identifier


def layer(identifier, name=None, dtype=None):
    """Makes a new activation layer for one place in a model.

    A learnable activation gets weights of its own. If a configured layer is
    given, its configuration is copied, but not the object or its weights:
    otherwise the whole model would share one `alpha`.

    Args:
        identifier: see `get`.
        name: str. Name of the layer. Chosen by Keras if `None`.
        dtype: str or `keras.DTypePolicy` of the layer. Defaults to that of a
            configured layer, else to Keras's own default.

    Returns:
        `keras.layers.Layer`, a new object with each call.

    Raises:
        TypeError: See `get`.
        ValueError: See `get`.

    Example:

    ```python
    first = keras_sat.activations.layer("smoothrelu", name="stem")
    second = keras_sat.activations.layer("smoothrelu")  # with its own alpha
    ```
    """
    activation = get(identifier)
    if not isinstance(activation, keras.layers.Layer):
        return keras.layers.Activation(activation, name=name, dtype=dtype)
    options = {**activation.get_config(), "name": name}
    if dtype is not None:
        options["dtype"] = dtype
    return type(activation).from_config(options)

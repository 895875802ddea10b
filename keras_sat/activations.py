"""Smooth activations, and how a model gets one for each of its sites."""

import functools

import keras
import tensorflow as tf
from keras import ops

from keras_sat import checks
from keras_sat import config

register = keras.saving.register_keras_serializable("keras_sat")


def _precisely(function):
    """Lets `function` compute half precision in float32.

    Its intermediate values overflow or cancel in 16 bits: `x ** 3` in gelu,
    `x ** 2` in squareplus, `alpha * x` in softplus and SmoothReLU.
    """

    @functools.wraps(function)
    def wrapped(x, *args, **kwargs):
        if not isinstance(x, keras.KerasTensor):
            x = ops.convert_to_tensor(x)
        dtype = keras.backend.standardize_dtype(x.dtype)
        if dtype not in ("float16", "bfloat16"):
            return function(x, *args, **kwargs)
        return ops.cast(
            function(ops.cast(x, "float32"), *args, **kwargs), dtype
        )

    return wrapped


@register
def relu(x):
    """`max(x, 0)`: not smooth, the one to compare with."""
    return ops.relu(x)


@register
def softplus(x):
    """`log(1 + exp(x))`."""
    return ops.softplus(x)


@register
@_precisely
def parametric_softplus(x, alpha=10.0):
    """`log(1 + exp(alpha * x)) / alpha`: see `ParametricSoftplus`."""
    return ops.softplus(alpha * x) / alpha


@register
def silu(x):
    """`x * sigmoid(x)`, also known as swish."""
    return ops.silu(x)


@register
@_precisely
def gelu(x):
    """`x` times the normal distribution function, approximated with tanh.

    The official code of the paper has this form; `gelu_exact` is within 5e-4.
    """
    inner = 0.7978845608028654 * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1.0 + ops.tanh(inner))


@register
@_precisely
def gelu_exact(x):
    """`x` times the normal distribution function."""
    return 0.5 * x * (1.0 + ops.erf(0.7071067811865476 * x))


@register
def elu(x, alpha=1.0):
    """`x` if `x > 0`, else `alpha * (exp(x) - 1)`: see `ELU`."""
    return ops.elu(x, alpha)


@register
@_precisely
def celu(x, alpha=1.0):
    """`x` if `x > 0`, else `alpha * (exp(x / alpha) - 1)`: see `CELU`."""
    # `keras.ops.celu` has the derivative 2 at 0.
    negative = ops.minimum(x, 0.0)
    return ops.where(x > 0.0, x, alpha * ops.expm1(negative / alpha))


@register
def mish(x):
    """`x * tanh(softplus(x))`."""
    return x * ops.tanh(ops.softplus(x))


@register
@_precisely
def squareplus(x, b=4.0):
    """`(x + sqrt(x ** 2 + b)) / 2`: like softplus, without exponentials.

    `b=4.0`, the default, gives it the second derivative of softplus at 0.
    """
    # Far below 0 the sum cancels; the quotient is the same number.
    negative = ops.minimum(x, 0.0)
    quotient = b / (ops.sqrt(ops.square(negative) + b) - negative)
    return 0.5 * ops.where(x > 0.0, x + ops.sqrt(ops.square(x) + b), quotient)


@_precisely
def _smooth_relu(x, alpha):
    x = ops.relu(x)
    alpha = ops.cast(alpha, x.dtype)
    return x - ops.log1p(alpha * x) / alpha


class _Activation(keras.layers.Layer):
    """A layer that keeps the dtype of what it is given."""

    def __init__(self, **kwargs):
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)

    def compute_output_shape(self, input_shape):
        return input_shape


class _WithAlpha(_Activation):
    def __init__(self, alpha, **kwargs):
        super().__init__(**kwargs)
        checks.real("alpha", alpha, above=0)
        self.alpha = alpha

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha}


@register
class ParametricSoftplus(_WithAlpha):
    """`log(1 + exp(alpha * x)) / alpha`, with a fixed `alpha`.

    Args:
        alpha: float > 0. Sharpness at 0. Defaults to `10.0`, which the paper
            uses for better gradients of ReLU.
        **kwargs: arguments of `keras.layers.Layer`.

    Reference:
    - [Xie et al., 2020](https://arxiv.org/abs/2006.14536)
    """

    def __init__(self, alpha=10.0, **kwargs):
        super().__init__(alpha, **kwargs)

    def call(self, x):
        return parametric_softplus(x, self.alpha)


@register
class ELU(_WithAlpha):
    """`x` if `x > 0`, else `alpha * (exp(x) - 1)`.

    Args:
        alpha: float > 0. The derivative jumps at 0, from `alpha` to 1: only
            `1.0`, the default, is smooth.
        **kwargs: arguments of `keras.layers.Layer`.

    Reference:
    - [Clevert et al., 2016](https://arxiv.org/abs/1511.07289)
    """

    def __init__(self, alpha=1.0, **kwargs):
        super().__init__(alpha, **kwargs)

    def call(self, x):
        return elu(x, self.alpha)


@register
class CELU(_WithAlpha):
    """`x` if `x > 0`, else `alpha * (exp(x / alpha) - 1)`.

    Args:
        alpha: float > 0. Far below 0 the value is `-alpha`. Smooth for any
            `alpha`. Defaults to `1.0`.
        **kwargs: arguments of `keras.layers.Layer`.

    Reference:
    - [Barron, 2017](https://arxiv.org/abs/1704.07483)
    """

    def __init__(self, alpha=1.0, **kwargs):
        super().__init__(alpha, **kwargs)

    def call(self, x):
        return celu(x, self.alpha)


@register
class SmoothReLU(_WithAlpha):
    """ReLU with a continuous derivative and a learnable sharpness `alpha`.

    `f(x) = x - log(1 + alpha * x) / alpha` if `x > 0`, else `0`. All units of
    the layer share one `alpha`, the square of the weight `root`.

    Args:
        alpha: float > 0. Initial sharpness; `f` tends to ReLU as it grows.
            Defaults to `400.0`.
        learnable: bool. If `False`, the layer has no weight. Defaults to
            `True`.
        **kwargs: arguments of `keras.layers.Layer`.

    Reference:
    - [Xie et al., 2020](https://arxiv.org/abs/2006.14536)
    """

    def __init__(self, alpha=400.0, learnable=True, **kwargs):
        super().__init__(alpha, **kwargs)
        self.learnable = learnable
        if learnable:
            initializer = keras.initializers.Constant(alpha**0.5)
            # In half precision, 20 ** 2 is right but small updates are lost.
            self.root = self.add_weight(
                (), initializer, name="root", autocast=False
            )

    def call(self, x):
        alpha = ops.square(self.root) if self.learnable else self.alpha
        return _smooth_relu(x, alpha)

    def get_config(self):
        return {**super().get_config(), "learnable": self.learnable}


@register
class ReLUWithGradientOf(_Activation):
    """ReLU, but for its derivative. See `relu_with_gradient_of`."""

    def __init__(self, smooth, **kwargs):
        super().__init__(**kwargs)
        self.smooth = get(smooth)
        self._refuse_weights()

    def build(self, input_shape):
        if isinstance(self.smooth, keras.layers.Layer):
            self.smooth.build(input_shape)
            self._refuse_weights()

    def _refuse_weights(self):
        if getattr(self.smooth, "weights", None):
            checks.refuse(
                "smooth",
                "have no weights, since they would not be trained",
                self.smooth,
                "Use `SmoothReLU(learnable=False)`.",
            )

    def call(self, x):
        return _relu_with_gradient_of(self.smooth, x)

    def get_config(self):
        smooth = config.saved("smooth", self.smooth)
        return {**super().get_config(), "smooth": smooth}


def relu_with_gradient_of(smooth):
    """ReLU in the forward pass, the derivative of `smooth` in the backward.

    The paper uses it to show that better gradients alone, without another
    function, already make adversarial training better.

    Args:
        smooth: str, function, class or layer without weights: see `get`.

    Returns:
        A `keras.layers.Layer` that can be passed on as an `activation`.

    Raises:
        ValueError: If `smooth` is unknown, or has weights.

    Example:

    ```python
    activation = relu_with_gradient_of(ParametricSoftplus(alpha=10.0))
    model = resnet(50, activation=activation)
    ```

    Reference:
    - [Xie et al., 2020](https://arxiv.org/abs/2006.14536), Table 1
    """
    return ReLUWithGradientOf(smooth)


def _relu_with_gradient_of(smooth, x):
    @tf.custom_gradient
    def function(x):
        def backward(upstream):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = smooth(x)
            return tape.gradient(y, x, output_gradients=upstream)

        return tf.nn.relu(x), backward

    return function(x)


NAMES = {
    "celu": celu,
    "elu": elu,
    "gelu": gelu,
    "gelu_exact": gelu_exact,
    "mish": mish,
    "parametric_softplus": parametric_softplus,
    "relu": relu,
    "silu": silu,
    "smoothrelu": SmoothReLU,
    "softplus": softplus,
    "squareplus": squareplus,
    "swish": silu,
}


def get(identifier):
    """The activation that a name, class, configuration or callable means.

    Args:
        identifier: one of
            - str: `"relu"`, `"softplus"`, `"parametric_softplus"`, `"silu"`
              (also `"swish"`), `"gelu"` (with tanh, as in the official code),
              `"gelu_exact"`, `"elu"`, `"celu"`, `"mish"`, `"squareplus"` or
              `"smoothrelu"`;
            - a layer class, of which an object with the default arguments is
              made;
            - dict: what `keras.saving.serialize_keras_object` returns;
            - any other callable, like a configured layer: returned as it is.

    Returns:
        A callable from a tensor to a tensor of the same shape and dtype.

    Raises:
        TypeError: If `identifier` is none of these.
        ValueError: If the name is unknown.
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
    """Makes a new activation layer, for one site of a model.

    A learnable activation gets weights of its own: of a configured layer, the
    configuration is copied, not the object or its weights.

    Args:
        identifier: see `get`.
        name: str. Name of the layer. Chosen by Keras if `None`.
        dtype: str or `keras.DTypePolicy` of the layer. Defaults to that of a
            configured layer, else to Keras's own default.

    Returns:
        A `keras.layers.Layer` that no other site has.

    Raises:
        TypeError: If `identifier` is no activation.
        ValueError: If its name is unknown.
    """
    activation = get(identifier)
    if not isinstance(activation, keras.layers.Layer):
        return keras.layers.Activation(activation, name=name, dtype=dtype)
    options = {**activation.get_config(), "name": name}
    if dtype is not None:
        options["dtype"] = dtype
    return type(activation).from_config(options)

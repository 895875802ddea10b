"""Smooth activations as functions, and ReLU."""

import functools

import keras
from keras import ops

register = keras.saving.register_keras_serializable("keras_sat")


def _precisely(function):
    """Makes `function` compute in float32 if it is given half precision.

    Its intermediate values would overflow or cancel in 16 bits: `x ** 3` in
    gelu, `x ** 2` in squareplus, `alpha * x` in softplus and SmoothReLU.
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
    """Computes `max(x, 0)`, which is not smooth, for comparison."""
    return ops.relu(x)


@register
def softplus(x):
    """Computes `log(1 + exp(x))`."""
    return ops.softplus(x)


@register
@_precisely
def parametric_softplus(x, alpha=10.0):
    """Computes `log(1 + exp(alpha * x)) / alpha`; see `ParametricSoftplus`."""
    return ops.softplus(alpha * x) / alpha


@register
def silu(x):
    """Computes `x * sigmoid(x)`, also known as swish."""
    return ops.silu(x)


@register
@_precisely
def gelu(x):
    """Computes GELU, approximated with tanh like in the official code.

    GELU is `x` times the distribution function of the normal distribution. The
    values differ from those of `gelu_exact` by less than 5e-4.
    """
    # The square root of 2 / pi.
    inner = 0.7978845608028654 * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1.0 + ops.tanh(inner))


@register
@_precisely
def gelu_exact(x):
    """Computes GELU: `x` times the normal distribution function."""
    # The square root of 1 / 2.
    return 0.5 * x * (1.0 + ops.erf(0.7071067811865476 * x))


@register
def elu(x, alpha=1.0):
    """Computes `x` if `x > 0`, else `alpha * (exp(x) - 1)`; see `ELU`."""
    return ops.elu(x, alpha)


@register
@_precisely
def celu(x, alpha=1.0):
    """Computes `x` if `x > 0`, else `alpha * (exp(x / alpha) - 1)`."""
    # Not by `keras.ops.celu`, whose derivative at 0 is 2 instead of 1.
    negative = ops.minimum(x, 0.0)
    return ops.where(x > 0.0, x, alpha * ops.expm1(negative / alpha))


@register
def mish(x):
    """Computes `x * tanh(softplus(x))`."""
    return x * ops.tanh(ops.softplus(x))


@register
@_precisely
def squareplus(x, b=4.0):
    """Computes `(x + sqrt(x ** 2 + b)) / 2`.

    It resembles softplus, and needs no exponentials. With `b=4.0`, the default,
    both have the same second derivative at 0.
    """
    # Far below 0, both terms of the sum cancel. The quotient is the same
    # number, and exact there.
    negative = ops.minimum(x, 0.0)
    quotient = b / (ops.sqrt(ops.square(negative) + b) - negative)
    return 0.5 * ops.where(x > 0.0, x + ops.sqrt(ops.square(x) + b), quotient)


@_precisely
def smooth_relu(x, alpha):
    """Computes `x - log(1 + alpha * x) / alpha` if `x > 0`, else 0."""
    x = ops.relu(x)
    alpha = ops.cast(alpha, x.dtype)
    return x - ops.log1p(alpha * x) / alpha

"""Smooth activations as functions, and ReLU."""

import keras
from keras import ops

from keras_sat.activations.fusion import fused
from keras_sat.activations.fusion import precisely

register = keras.saving.register_keras_serializable("keras_sat")


@register
def relu(x):
    """Computes `max(x, 0)`, which is not smooth, for comparison."""
    return ops.relu(x)


@register
@fused
def softplus(x):
    """Computes `log(1 + exp(x))`."""
    return ops.softplus(x)


@register
@fused
@precisely
def parametric_softplus(x, alpha=10.0):
    """Computes `log(1 + exp(alpha * x)) / alpha`; see `ParametricSoftplus`."""
    return ops.softplus(alpha * x) / alpha


@register
@fused
def silu(x):
    """Computes `x * sigmoid(x)`, also known as swish."""
    return ops.silu(x)


@register
@fused
@precisely
def gelu(x):
    """Computes GELU, approximated with tanh like in the official code.

    GELU is `x` times the distribution function of the normal distribution. The
    values differ from those of `gelu_exact` by less than 5e-4.
    """
    # Twice the square root of 2 / pi. The sigmoid is (1 + tanh(z / 2)) / 2,
    # and exact where that sum would cancel.
    z = 1.5957691216057308 * (x + 0.044715 * x * x * x)
    return x * ops.sigmoid(z)


@register
@fused
@precisely
def gelu_exact(x):
    """Computes GELU: `x` times the normal distribution function."""
    # The square root of 1 / 2.
    return 0.5 * x * (1.0 + ops.erf(0.7071067811865476 * x))


@register
def elu(x, alpha=1.0):
    """Computes `x` if `x > 0`, else `alpha * (exp(x) - 1)`; see `ELU`."""
    return ops.elu(x, alpha)


@register
@fused
@precisely
def celu(x, alpha=1.0):
    """Computes `x` if `x > 0`, else `alpha * (exp(x / alpha) - 1)`."""
    # Not by `keras.ops.celu`, whose derivative at 0 is 2 instead of 1.
    negative = ops.minimum(x, 0.0)
    return ops.where(x > 0.0, x, alpha * ops.expm1(negative / alpha))


@register
@fused
@precisely
def mish(x):
    """Computes `x * tanh(softplus(x))`."""
    # With e = exp(x), the hyperbolic tangent is (e^2 + 2e) / (e^2 + 2e + 2).
    # Above 20 it is 1 in any precision, and e^2 would overflow at last.
    e = ops.exp(ops.minimum(x, 20.0))
    n = e * (e + 2.0)
    return x * (n / (n + 2.0))


@register
@fused
@precisely
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


@fused
@precisely
def smooth_relu(x, alpha):
    """Computes `x - log(1 + alpha * x) / alpha` if `x > 0`, else 0."""
    x = ops.relu(x)
    alpha = ops.cast(alpha, x.dtype)
    return x - ops.log1p(alpha * x) / alpha

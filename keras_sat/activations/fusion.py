"""Elementwise functions as one kernel, where TensorFlow would use many."""

import contextlib
import contextvars
import functools
import inspect

import keras
import tensorflow as tf
from keras import ops

from keras_sat import distribution

# Whether batches of unknown size have few sizes in what is traced now.
_FEW_SIZES = contextvars.ContextVar("few_sizes", default=False)


def precisely(function):
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


@contextlib.contextmanager
def batches_of_few_sizes():
    """Traces activations for batches that nearly all have one size.

    As in training, where it pays to compile them for each size. It is also a
    decorator.
    """
    token = _FEW_SIZES.set(True)
    try:
        yield
    finally:
        _FEW_SIZES.reset(token)


def fused(function):
    """Returns an elementwise function that is fast on processors, too.

    Each operation of a smooth activation reads and writes the whole tensor.
    XLA makes one kernel of all of them, and one of all those of the derivative,
    for which nothing is kept but the arguments. Half precision is computed in
    float32 there, at no cost. XLA compiles each size anew: so this is done in
    graphs alone, if the size of a batch is fixed, or one of few as in training.
    Exported files have plain operations.

    Args:
        function: callable `(x, *parameters)` from a tensor and numbers, or
            scalar tensors, to a tensor like `x`.
    """
    signature, kernel = inspect.signature(function), precisely(function)
    forward = tf.function(kernel, jit_compile=True, autograph=False)

    @functools.partial(tf.function, jit_compile=True, autograph=False)
    def slopes(i, upstream, tensors, numbers):
        # A scalar gets a slope for each element, which others add up faster.
        tensors = [tf.broadcast_to(t, tf.shape(upstream)) for t in tensors]
        with tf.GradientTape() as tape:
            tape.watch(tensors[i])
            y = kernel(*tensors, *numbers)
        return tape.gradient(y, tensors[i], upstream, "zero")

    def derivative(i, upstream, tensors, numbers):
        slope = slopes(i, upstream, tensors, numbers)
        return slope if i == 0 else tf.reduce_sum(slope)

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        arguments = signature.bind(*args, **kwargs).args
        if not _is_worth_it(arguments[0]):
            return function(*arguments)
        numbers = [a for a in arguments if isinstance(a, float | int)]
        variable = [a for a in arguments if not isinstance(a, float | int)]

        @tf.custom_gradient
        def in_two_kernels(*tensors):
            def gradients(upstream):
                # Kernels of their own: an attack needs the first one alone.
                return [
                    derivative(i, upstream, tensors, numbers)
                    for i in range(len(tensors))
                ]

            return forward(*tensors, *numbers), gradients

        return in_two_kernels(*map(ops.convert_to_tensor, variable))

    return wrapped


def _is_worth_it(x):
    """Returns true if XLA is to make kernels for a tensor."""
    if not tf.is_symbolic_tensor(x) or not x.dtype.is_floating:
        return False
    if tf.config.functions_run_eagerly() or distribution.has_accelerator():
        return False
    return x.shape.is_fully_defined() or _FEW_SIZES.get()

"""Pictures of activation functions and their derivatives."""

import tensorflow as tf

from keras_sat import checks
from keras_sat.plots import figures


def activations(functions, low=-4.0, high=4.0, path=None):
    """Draws activation functions, and their derivatives beside them.

    Args:
        functions: dict from a name to a function that maps a float tensor to
            one of the same shape.
        low: float. Where the curves begin. Defaults to `-4.0`.
        high: float > `low`. Where they end. Defaults to `4.0`.
        path: str or path-like. Where to save the picture, if given.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: If matplotlib is missing.
        TypeError: If `low` or `high` is not a number.
        ValueError: If `functions` is empty, or `high` is not above `low`.

    Example:

    ```python
    plots.activations({"relu": keras.ops.relu, "silu": keras.ops.silu})
    ```
    """
    if not functions:
        checks.refuse("functions", "hold at least one function", functions)
    checks.real("low", low)
    checks.real("high", high, above=low)
    x = tf.linspace(tf.constant(low, tf.float32), high, 801)
    figure = figures.empty(9.0, 3.6)
    left, right = figure.subplots(1, 2)
    for i, (name, function) in enumerate(functions.items()):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        style = {
            "color": figures.COLORS[i % len(figures.COLORS)],
            "label": name,
        }
        left.plot(x, y, **style)
        right.plot(x, tape.gradient(y, x), **style)
    figures.label(left, "x", "f(x)")
    figures.label(right, "x", "f'(x)")
    return figures.saved(figure, path)

"""Every activation of the package, and derivatives."""

import tensorflow as tf

from keras_sat import activations

CONFIGURED = {
    "CELU(2.5)": activations.CELU(2.5),
    "ELU(2.5)": activations.ELU(2.5),
    "ParametricSoftplus(3.0)": activations.ParametricSoftplus(3.0),
    "SmoothReLU(7.0)": activations.SmoothReLU(7.0, learnable=False),
    "relu_with_gradient_of(silu)": activations.relu_with_gradient_of("silu"),
    "relu_with_gradient_of(softplus10)": activations.relu_with_gradient_of(
        activations.ParametricSoftplus
    ),
}

EVERY = (*activations.NAMES, *CONFIGURED)

SMOOTH = sorted(set(activations.NAMES) - {"relu"}) + ["CELU(2.5)"]


def activation(name):
    return activations.get(CONFIGURED.get(name, name))


def derivatives(function, x):
    """Returns value, first and second derivative at each point."""
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        first = tape.gradient(y, x)
    return y, first, outer.gradient(first, x)

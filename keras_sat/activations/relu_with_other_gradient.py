"""ReLU with the gradient of a smooth function."""

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat import config
from keras_sat.activations.by_name import get
from keras_sat.activations.layers import ActivationLayer

register = keras.saving.register_keras_serializable("keras_sat")


@register
class ReLUWithGradientOf(ActivationLayer):
    """ReLU with the derivative of a smooth function.

    Args:
        smooth: str, function, class or layer without weights. See
            `relu_with_gradient_of`.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def __init__(self, smooth, **kwargs):
        super().__init__(**kwargs)
        self.smooth = get(smooth)
        self._refuse_weights()

    def build(self, input_shape):
        """Builds the smooth function, which may make weights only now."""
        if isinstance(self.smooth, keras.layers.Layer):
            self.smooth.build(input_shape)
            self._refuse_weights()

    def _refuse_weights(self):
        """Refuses a smooth function with weights."""
        if getattr(self.smooth, "weights", None):
            checks.refuse(
                "smooth",
                "have no weights, since they would not be trained",
                self.smooth,
                "Use `SmoothReLU(learnable=False)`.",
            )

    def call(self, x):
        """Returns a tensor of the shape and dtype of `x`."""
        return _relu_with_gradient_of(self.smooth, x)

    def get_config(self):
        """See `keras.layers.Layer.get_config`."""
        smooth = config.saved("smooth", self.smooth)
        return {**super().get_config(), "smooth": smooth}


def relu_with_gradient_of(smooth):
    """Returns ReLU with the derivative of `smooth` in the backward pass.

    The paper uses it to show that better gradients alone make adversarial
    training better, even if the function itself stays the same.

    Args:
        smooth: str, function, class or layer without weights: see `get`.

    Returns:
        A `keras.layers.Layer` that can be passed on as an `activation`.

    Raises:
        ValueError: If `smooth` is unknown, or has weights.

    Example:

    ```python
    activation = keras_sat.relu_with_gradient_of("parametric_softplus")
    model = keras_sat.resnet(50, activation=activation)
    ```

    Reference:
    - [Xie et al., 2020](https://arxiv.org/abs/2006.14536), Table 1
    """
    return ReLUWithGradientOf(smooth)


def _relu_with_gradient_of(smooth, x):
    """Computes ReLU of `x`, with the derivative of `smooth`."""

    # `smooth(x) + stop_gradient(relu(x) - smooth(x))` would round the values in
    # half precision; this is exact.
    @tf.custom_gradient
    def function(x):
        def backward(upstream):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = smooth(x)
            return tape.gradient(y, x, output_gradients=upstream)

        return tf.nn.relu(x), backward

    return function(x)

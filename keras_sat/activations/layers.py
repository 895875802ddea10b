"""Smooth activations with parameters, as layers."""

import keras
from keras import ops

from keras_sat import checks
from keras_sat.activations import functions

register = keras.saving.register_keras_serializable("keras_sat")


class ActivationLayer(keras.layers.Layer):
    """A layer that returns the shape and the dtype that it is given."""

    def __init__(self, **kwargs):
        # With autocast, Keras would cast inputs to the dtype of the policy.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)

    def compute_output_shape(self, input_shape):
        """See `keras.layers.Layer.compute_output_shape`."""
        return input_shape


class _WithAlpha(ActivationLayer):
    """An activation with a parameter `alpha` > 0."""

    def __init__(self, alpha, **kwargs):
        super().__init__(**kwargs)
        checks.real("alpha", alpha, above=0)
        self.alpha = alpha

    def get_config(self):
        """See `keras.layers.Layer.get_config`."""
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
        """Returns a tensor of the shape and dtype of `x`."""
        return functions.parametric_softplus(x, self.alpha)


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
        """Returns a tensor of the shape and dtype of `x`."""
        return functions.elu(x, self.alpha)


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
        """Returns a tensor of the shape and dtype of `x`."""
        return functions.celu(x, self.alpha)


@register
class SmoothReLU(_WithAlpha):
    """ReLU with a continuous derivative and a learnable sharpness `alpha`.

    `f(x) = x - log(1 + alpha * x) / alpha` if `x > 0`, else `0`. All units of
    the layer share one `alpha`, the square of the weight `root`.

    Args:
        alpha: float > 0. Initial sharpness; `f` tends to ReLU as it grows.
            Defaults to `400.0`.
        learnable: bool. Whether `alpha` is trained. If not, the layer has no
            weight. Defaults to `True`.
        **kwargs: arguments of `keras.layers.Layer`.

    Example:

    ```python
    network = keras.Sequential(
        [keras.layers.Dense(64), keras_sat.SmoothReLU(), keras.layers.Dense(10)]
    )
    ```

    Reference:
    - [Xie et al., 2020](https://arxiv.org/abs/2006.14536)
    """

    def __init__(self, alpha=400.0, learnable=True, **kwargs):
        super().__init__(alpha, **kwargs)
        self.learnable = learnable
        if learnable:
            initializer = keras.initializers.Constant(alpha**0.5)
            # The square root of `alpha`, so that `alpha` stays positive. In
            # float32, because half precision would lose small updates.
            self.root = self.add_weight(
                (), initializer, name="root", autocast=False
            )

    def call(self, x):
        """Returns a tensor of the shape and dtype of `x`."""
        alpha = ops.square(self.root) if self.learnable else self.alpha
        return functions.smooth_relu(x, alpha)

    def get_config(self):
        """See `keras.layers.Layer.get_config`."""
        return {**super().get_config(), "learnable": self.learnable}

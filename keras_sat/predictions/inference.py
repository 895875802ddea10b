"""The logits and the input gradients of a classifier in inference mode."""

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat.predictions.batch_statistics import STATISTICS

# A power of two, so exact in float32; it keeps the small gradients of a
# float16 network from vanishing before they reach the images.
_GRADIENT_SCALE = 1024.0


def inference(model, statistics="moving"):
    """The function from images to float32 logits that an attack sees.

    Keras models are called with `training=False`, and no variable changes.

    Args:
        model: `keras.Model`, or any function from images to logits.
        statistics: str. What batch normalization in a Keras model goes by:
            `"moving"` for its moving statistics, `"batch"` for those of the
            images that it is given. Defaults to `"moving"`.

    Raises:
        TypeError: If it cannot be called, or, when it is, if TensorFlow's
            tensors are not what it takes.
        ValueError: If it takes or returns something else than float images
            and logits.
    """
    checks.attackable("model", model)

    def predict(images):
        with checks.explained_failures("model", model):
            if isinstance(model, keras.layers.Layer):
                with STATISTICS[statistics](model):
                    logits = model(images, training=False)
            else:
                logits = model(images)
        checks.logits("model", logits, images.shape[0])
        return tf.cast(logits, tf.float32)

    return predict


def attacked(model):
    """`inference(model)`, which looks at its first outputs if it runs eagerly.

    Args:
        model: see `inference`.
    """
    predict = inference(model)
    looked_at = []

    def checked(images):
        logits = predict(images)
        if tf.executing_eagerly() and not looked_at:
            checks.not_probabilities("model", logits)
            looked_at.append(True)
        return logits

    return checked


def input_gradient(function, images, on_missing=None):
    """Value `(batch,)` of `function`, and its gradient for each image.

    Args:
        function: callable from images to one number for each image; or to a
            tuple that begins with these numbers, whose other tensors are
            given back with them.
        images: float tensor, the first dimension is the batch.
        on_missing: function without arguments. It is called where there is no
            gradient, which is then taken for zero. Defaults to an error.

    Raises:
        ValueError: If the value does not depend on the images, or through
            operations without a gradient only.
    """
    try:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            value = function(images)
            scaled = tf.nest.flatten(value)[0] * _GRADIENT_SCALE
        gradient = tape.gradient(scaled, images)
    except LookupError as error:
        # TensorFlow raises it itself for operations it has no gradient of.
        if isinstance(error, KeyError | IndexError):
            raise
        value, gradient = function(images), None
    if gradient is None:
        (on_missing or _refuse_missing_gradient)()
        return value, tf.zeros_like(images)
    # Of images that are only gathered from, it comes as slices; of a function
    # that calls Python, without a shape.
    gradient = tf.ensure_shape(tf.convert_to_tensor(gradient), images.shape)
    return value, gradient / _GRADIENT_SCALE


def _refuse_missing_gradient():
    checks.refuse(
        "model",
        "be differentiable in its images",
        checks.Described(
            "a model with no gradient path from its logits to its images"
        ),
        "Use a black-box attack.",
    )

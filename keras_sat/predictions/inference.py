"""Logits and input gradients of a classifier in inference mode."""

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat.predictions.batch_statistics import STATISTICS

# Multiplied with the value before it is differentiated, this keeps the small
# gradients of a float16 network from vanishing on their way to the images. A
# power of two, so that float32 gradients stay the same to the bit.
_GRADIENT_SCALE = 1024.0


def inference(model, statistics="moving"):
    """Returns the function from images to float32 logits that attacks see.

    Keras models are called with `training=False`, and no variable changes.

    Args:
        model: `keras.Model`, or any function from images to logits.
        statistics: str. What batch normalization in a Keras model normalizes
            by: `"moving"` for its moving statistics, `"batch"` for those of the
            images that it is given. Defaults to `"moving"`.

    Returns:
        Function from a float32 tensor `(batch, ...)` to a float32 tensor
        `(batch, num_classes)`.

    Raises:
        TypeError: If `model` cannot be called, or, when it is called, if it
            does not take TensorFlow's tensors.
        ValueError: If it takes or returns something else than float images
            and logits.
    """
    checks.attackable("model", model)

    def predict(images):
        with checks.explained_failures("model", model):
            if isinstance(model, keras.layers.Layer):
                # In training mode, attacks would update the moving statistics
                # and draw new dropout masks.
                with STATISTICS[statistics](model):
                    logits = model(images, training=False)
            else:
                logits = model(images)
        checks.logits("model", logits, images.shape[0])
        return tf.cast(logits, tf.float32)

    return predict


def checked_inference(model):
    """Returns `inference(model)` with a check of its first concrete logits.

    Inside a `tf.function` logits have no values that could be checked.

    Args:
        model: see `inference`.
    """
    predict = inference(model)
    is_checked = False

    def checked(images):
        nonlocal is_checked
        logits = predict(images)
        if tf.executing_eagerly() and not is_checked:
            checks.not_probabilities("model", logits)
            is_checked = True
        return logits

    return checked


def input_gradient(function, images, on_missing=None):
    """Returns the value of a function and its gradient for each image.

    Args:
        function: callable from images to a number for each image, `(batch,)`;
            or to a tuple of these numbers and other tensors, which are returned
            with them.
        images: float tensor `(batch, ...)`.
        on_missing: function without arguments that is called if there is no
            gradient. A gradient of zero is returned then. Defaults to raising
            an error.

    Returns:
        What `function` returned, and a tensor like `images`.

    Raises:
        ValueError: If there is no gradient: if the value does not depend on the
            images, or only through operations without a gradient.
    """
    try:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            value = function(images)
            scaled = tf.nest.flatten(value)[0] * _GRADIENT_SCALE
        gradient = tape.gradient(scaled, images)
    except LookupError as error:
        # TensorFlow raises a plain LookupError for an operation that has no
        # gradient. Its subclasses are errors of the function itself.
        if isinstance(error, KeyError | IndexError):
            raise
        value, gradient = function(images), None
    if gradient is None:
        (on_missing or refuse_missing_gradient)()
        return value, tf.zeros_like(images)
    # The gradient of `tf.gather` comes as `IndexedSlices`, that of functions
    # that call Python comes without a shape.
    gradient = tf.ensure_shape(tf.convert_to_tensor(gradient), images.shape)
    return value, gradient / _GRADIENT_SCALE


def refuse_missing_gradient():
    """Raises an error for a model without a gradient in its images."""
    checks.refuse(
        "model",
        "be differentiable in its images",
        checks.Described(
            "a model with no gradient path from its logits to its images"
        ),
        "Use a black-box attack.",
    )

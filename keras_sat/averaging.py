"""The moving averages of a model's weights, which its optimizer keeps.

An optimizer with `use_ema=True` averages the trainable weights. Those of batch
normalization need statistics to match, so that `build` and `update` average the
other weights beside them, as the official code does.
"""

import contextlib

import tensorflow as tf


def build(model):
    """Makes the variables of the optimizer, averages included, once.

    Args:
        model: compiled `keras.Model`.
    """
    optimizer = _inner(model.optimizer)
    with tf.init_scope():
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        if optimizer.use_ema and not hasattr(optimizer, "other_averages"):
            optimizer.other_averages = [
                optimizer.add_variable_from_reference(weight, name="average")
                for weight in model.non_trainable_weights
            ]


def update(model):
    """Moves the averages of the weights that are not trained.

    It belongs into the training step, before `optimizer.apply`, which moves the
    averages of those that are.

    Args:
        model: compiled `keras.Model`.
    """
    optimizer = _inner(model.optimizer)
    if not optimizer.use_ema:
        return
    build(model)
    first = optimizer.iterations.value == 0
    momentum = tf.where(first, 0.0, optimizer.ema_momentum)
    for average, weight in zip(
        optimizer.other_averages, model.non_trainable_weights, strict=True
    ):
        share = tf.cast(momentum, average.dtype)
        average.assign(share * average + (1 - share) * weight)


@contextlib.contextmanager
def averaged_weights(model, wanted=True):
    """Lends a model the moving averages of its weights.

    Args:
        model: compiled `keras.Model`. Nothing happens unless its optimizer has
            `use_ema=True` and has made a step.
        wanted: bool. `False` leaves the weights as they are.

    Example:

    ```python
    with averaged_weights(model):
        model.model.save("averaged.keras")
    ```
    """
    if not (wanted and has_averages(model)):
        yield
        return
    variables = [*model.trainable_variables, *model.non_trainable_weights]
    weights = [variable.numpy() for variable in variables]
    try:
        finalize(model)
        yield
    finally:
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(weight)


def finalize(model):
    """Overwrites the weights with their averages, where there are any.

    Args:
        model: compiled `keras.Model`.
    """
    if not has_averages(model):
        return
    optimizer = _inner(model.optimizer)
    optimizer.finalize_variable_values(model.trainable_variables)
    averages = getattr(optimizer, "other_averages", ())
    for weight, average in zip(
        model.non_trainable_weights if averages else (), averages, strict=True
    ):
        weight.assign(average)


def has_averages(model):
    """Whether the optimizer of `model` keeps averages that can be used."""
    optimizer = _inner(getattr(model, "optimizer", None))
    # Before the first step the averages are zero.
    return bool(
        getattr(optimizer, "use_ema", False) and optimizer.iterations > 0
    )


def _inner(optimizer):
    return getattr(optimizer, "inner_optimizer", optimizer)

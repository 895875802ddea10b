"""The moving averages of a model's weights, which its optimizer keeps.

An optimizer with `use_ema=True` averages the trainable weights. Those of batch
normalization need statistics to match, so that `build` and `update` average the
other weights beside them, as the official code does.
"""

import contextlib

import keras
import tensorflow as tf

from keras_sat.optimizers import inner


class HandOver(keras.callbacks.Callback):
    """Tells a model when its averages stand for it, and hands them over.

    During `fit` they do, where it is evaluated or saved; after each epoch also
    where a callback asks for its weights, to remember those of the best epoch.
    When training ends they become the weights, before the other callbacks learn
    of the end, so that what one of these restores stays. It is the first of the
    callbacks of `fit`.
    """

    def __init__(self):
        super().__init__()
        self.during_fit = False
        self.after_epoch = False

    @contextlib.contextmanager
    def fitting(self):
        """Surrounds the training of `fit`."""
        self.during_fit = True
        try:
            yield
        finally:
            self.during_fit = self.after_epoch = False

    def on_epoch_begin(self, epoch, logs=None):
        """Lets callbacks see the weights that are trained."""
        self.after_epoch = False

    def on_epoch_end(self, epoch, logs=None):
        """Lets callbacks see the averages."""
        self.after_epoch = True

    def on_train_end(self, logs=None):
        """Makes the averages the weights."""
        finalize(self.model)
        self.during_fit = self.after_epoch = False


def build(model):
    """Makes the variables of the optimizer, averages included, once.

    Args:
        model: compiled `keras.Model`.
    """
    optimizer = inner(model.optimizer)
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
    optimizer = inner(model.optimizer)
    if not optimizer.use_ema:
        return
    build(model)
    first = tf.convert_to_tensor(optimizer.iterations) == 0
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
    for weight, average in _pairs(model):
        weight.assign(average)


def restart(model):
    """Overwrites the averages with the weights, where there are any.

    Args:
        model: compiled `keras.Model` whose weights come from somewhere else.
    """
    for weight, average in _pairs(model):
        average.assign(weight)


@contextlib.contextmanager
def restarted_unless_loaded(model):
    """Restarts averages if a file of weights brings no others with it.

    Args:
        model: compiled `keras.Model` that loads weights in this context.
    """
    if not has_averages(model):
        yield
        return
    iterations = inner(model.optimizer)._iterations
    before = iterations.numpy()
    # No file holds this number: it tells whether there was an optimizer in it.
    iterations.assign(-1)
    try:
        yield
    finally:
        if iterations.numpy() == -1:
            iterations.assign(before)
            restart(model)


def are_kept(model):
    """Tells if the optimizer of `model` keeps averages."""
    optimizer = inner(getattr(model, "optimizer", None))
    return bool(getattr(optimizer, "use_ema", False))


def has_averages(model):
    """Whether the optimizer of `model` keeps averages that can be used."""
    # Before the first step the averages are zero.
    return are_kept(model) and bool(inner(model.optimizer).iterations > 0)


def _pairs(model):
    """Each weight with its average; none before the first step."""
    if not has_averages(model):
        return []
    optimizer = inner(model.optimizer)
    trained = zip(
        model.trainable_variables,
        optimizer._model_variables_moving_average,
        strict=True,
    )
    others = getattr(optimizer, "other_averages", ())
    rest = model.non_trainable_weights if others else ()
    pairs = [*trained, *zip(rest, others, strict=True)]
    # Keras keeps none of what gradients overwrite.
    return [pair for pair in pairs if pair[1] is not None]

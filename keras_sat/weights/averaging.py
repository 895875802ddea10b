"""Moving averages of the weights of a model, which its optimizer keeps.

An optimizer with `use_ema=True` averages the trainable weights only. Averaged
weights need matching statistics of batch normalization, so that `build` and
`update` average the other weights, too, like the official code of the paper.
"""

import contextlib

import keras
import tensorflow as tf

from keras_sat.optimizers import inner


class AveragesInFit(keras.callbacks.Callback):
    """Lets the averages of a model stand in for its weights during `fit`.

    Evaluated and saved are the averages, throughout `fit`. A callback that asks
    for the weights in `on_epoch_end`, to remember those of the best epoch, gets
    the averages as well; `model.model` keeps the weights that are trained.

    When training ends, the averages become the weights. That has to happen
    before the other callbacks learn of the end, so that weights that one of
    them restores stay: this callback is the first one of `fit`.
    """

    def __init__(self):
        super().__init__()
        self._in_fit = False
        self._after_epoch = False

    @contextlib.contextmanager
    def fitting(self):
        """Surrounds the training of `fit`."""
        self._in_fit = True
        try:
            yield
        finally:
            self._in_fit = self._after_epoch = False

    def lent_in_fit(self, model):
        """Lends a model its averages during `fit`; see `averaged_weights`."""
        return averaged_weights(model, self._in_fit)

    def lent_after_epoch(self, model):
        """Lends a model its averages during `on_epoch_end` of other callbacks.

        Between epochs, callbacks see the weights that are trained.
        """
        return averaged_weights(model, self._after_epoch)

    def on_epoch_begin(self, epoch, logs=None):
        """Lets callbacks see the weights that are trained."""
        self._after_epoch = False

    def on_epoch_end(self, epoch, logs=None):
        """Lets callbacks see the averages."""
        self._after_epoch = True

    def on_train_end(self, logs=None):
        """Makes the averages the weights."""
        # Keras has done so for the trainable ones already.
        finalize(self.model)
        self._in_fit = self._after_epoch = False


def build(model):
    """Creates the variables of the optimizer, averages included, once.

    Args:
        model: compiled `keras.Model`.
    """
    optimizer = inner(model.optimizer)
    # Variables cannot be created inside of a compiled step, which may call it.
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

    Call it in the training step before `optimizer.apply`, which moves the
    averages of the trainable weights and counts the step.

    Args:
        model: compiled `keras.Model`.
    """
    optimizer = inner(model.optimizer)
    if not optimizer.use_ema:
        return
    build(model)
    # The averages begin with the weights of the first step, as in Keras.
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
    """Restarts the averages if a file of weights holds no averages.

    Args:
        model: compiled `keras.Model` that loads weights in this context.
    """
    if not has_averages(model):
        yield
        return
    iterations = inner(model.optimizer)._iterations
    before = iterations.numpy()
    # Loading an optimizer overwrites this number, which no file holds.
    iterations.assign(-1)
    try:
        yield
    finally:
        if iterations.numpy() == -1:
            iterations.assign(before)
            restart(model)


def are_kept(model):
    """Returns `True` if the optimizer of a model keeps averages.

    Args:
        model: `keras.Model`.
    """
    optimizer = inner(getattr(model, "optimizer", None))
    return bool(getattr(optimizer, "use_ema", False))


def has_averages(model):
    """Returns `True` if the optimizer keeps averages that can be used.

    Args:
        model: `keras.Model`.
    """
    # Before the first step the averages are zero.
    return are_kept(model) and bool(inner(model.optimizer).iterations > 0)


def _pairs(model):
    """Returns pairs of a weight and its average; none before the first step.

    Args:
        model: compiled `keras.Model`.
    """
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
    # Keras keeps no average of what gradients overwrite, like float8 scales.
    return [pair for pair in pairs if pair[1] is not None]

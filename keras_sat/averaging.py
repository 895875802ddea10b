"""The moving averages of a model's weights, which its optimizer keeps."""

import contextlib


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
    weights = [variable.numpy() for variable in model.trainable_variables]
    try:
        model.optimizer.finalize_variable_values(model.trainable_variables)
        yield
    finally:
        for variable, weight in zip(
            model.trainable_variables, weights, strict=True
        ):
            variable.assign(weight)


def has_averages(model):
    """Whether the optimizer of `model` keeps averages that can be used."""
    optimizer = getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    # Before the first step the averages are zero.
    return bool(
        getattr(optimizer, "use_ema", False) and optimizer.iterations > 0
    )

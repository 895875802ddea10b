"""Properties that every Keras optimizer has, however it is wrapped."""


def inner(optimizer):
    """Returns the optimizer inside one that scales the loss, or itself.

    Args:
        optimizer: `keras.optimizers.Optimizer`, or `None`.
    """
    return getattr(optimizer, "inner_optimizer", optimizer)


def batches_seen(optimizer):
    """Returns the count of batches so far, as learning-rate schedules see it.

    Args:
        optimizer: `keras.optimizers.Optimizer`. Its `iterations` count updates,
            of which there are fewer if gradients are accumulated.
    """
    every = inner(optimizer).gradient_accumulation_steps or 1
    return optimizer.iterations * every

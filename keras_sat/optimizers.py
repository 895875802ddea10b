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


def load_only_own_state(optimizer):
    """Lets an optimizer that nobody chose pass over the state of another one.

    Keras offers it the state in a file of a whole model, also with
    `compile=False`, and an optimizer warns of one that is not its own.

    Args:
        optimizer: `keras.optimizers.Optimizer`. Changed in place.
    """
    # One that scales the loss is offered a state, and so is the one inside.
    for part in {id(x): x for x in (optimizer, inner(optimizer))}.values():
        _load_if_it_fits(part)


def _load_if_it_fits(optimizer):
    load = optimizer.load_own_variables

    def load_own_variables(store):
        if len(store.keys()) == len(optimizer.variables):
            load(store)

    # An attribute of the object comes before the method of its class. Keras
    # would track one that it is told of.
    vars(optimizer)["load_own_variables"] = load_own_variables

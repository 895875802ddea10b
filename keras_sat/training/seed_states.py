"""Saves and loads the states of the random numbers of a model.

Keras does not save the state of a `SeedGenerator`, neither that of a model nor
that of a layer, like dropout. Without it, a model that is loaded would draw
other noise than the one that was saved.
"""

import numpy as np
from absl import logging


def save(model, store):
    """Writes the states into the store of `save_own_variables`.

    Args:
        model: `SATModel`.
        store: mapping from names to arrays.
    """
    for name, states in _parts(model).items():
        if states:
            store[name] = np.stack([np.asarray(state) for state in states])


def load(model, store):
    """Assigns the states that the store of `load_own_variables` holds.

    With a file of an earlier version, which holds none, the noise starts anew.

    Args:
        model: `SATModel`.
        store: mapping from names to arrays.
    """
    for name, states in _parts(model).items():
        if name not in store.keys():
            continue
        values = store[name]
        if len(values) != len(states):
            logging.warning(
                "The noise of some layers starts anew: there are %d with "
                "random numbers in the file and %d in the model.",
                len(values),
                len(states),
            )
            continue
        for state, value in zip(states, values, strict=True):
            state.assign(value)


def without(store):
    """Returns the rest of a store: the variables that Keras itself loads.

    Args:
        store: mapping from names to arrays.
    """
    names = ("seeds", "eval_seeds", "attack_model_seeds", "layer_seeds")
    return {key: store[key] for key in store.keys() if key not in names}


def _parts(model):
    """Returns the states that a model holds, in lists by name.

    Those of the `attack_model` are a list of their own, because a file may have
    been written by a model that has none.
    """
    parts = {
        "seeds": [model.seeds.state],
        "eval_seeds": [model.eval_seeds.state],
        "attack_model_seeds": _states(model.attack_model),
    }
    known = {id(state) for states in parts.values() for state in states}
    others = [state for state in _states(model) if id(state) not in known]
    return parts | {"layer_seeds": others}


def _states(model):
    """Returns the variables of random numbers, which are no weights.

    Args:
        model: `keras.Model`, or `None`.
    """
    if model is None:
        return []
    others = {id(v) for v in (*model.weights, *model.metrics_variables)}
    return [v for v in model.variables if id(v) not in others]

"""Where the random numbers of a model are, in the files that Keras writes.

Keras saves no state of a `SeedGenerator`: neither those of a model nor those of
its layers, like that of a dropout. What is loaded would draw other noise than
what was saved.
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

    Files of earlier versions hold none: the noise then starts anew.

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
    """The rest of a store: the variables that are the model's own."""
    names = ("seeds", "eval_seeds", "attack_model_seeds", "layer_seeds")
    return {key: store[key] for key in store.keys() if key not in names}


def _parts(model):
    """Lists of the states, by name: a file may lack the `attack_model`."""
    parts = {
        "seeds": [model.seeds.state],
        "eval_seeds": [model.eval_seeds.state],
        "attack_model_seeds": _states(model.attack_model),
    }
    known = {id(state) for states in parts.values() for state in states}
    others = [state for state in _states(model) if id(state) not in known]
    return parts | {"layer_seeds": others}


def _states(model):
    """The variables that are no weights: those of random numbers."""
    if model is None:
        return []
    others = {id(v) for v in (*model.weights, *model.metrics_variables)}
    return [v for v in model.variables if id(v) not in others]

"""What two runs of training must have in common to be one."""

import json

import keras


def training_settings(model):
    """The network and the recipe, as far as JSON can hold them.

    Args:
        model: compiled `SATModel` with a built optimizer.

    Returns:
        Dict from the name of a part to its description. The names of layers
        and of the optimizer are left out: they depend on what was built before.
    """
    variables = [*model.variables, *model.optimizer.variables]
    described = {
        "variables": [
            [v.path.split("/")[-1], list(v.shape), str(v.dtype)]
            for v in variables
        ],
        "attack": repr(model.attack),
        "attack_statistics": model.attack_statistics,
        "objective": repr(model.objective),
        "optimizer": _nameless(model.optimizer),
        "loss": _nameless(model.loss),
        "weight_decay": model.weight_decay,
    }
    return json.loads(json.dumps(described, default=repr))


def _nameless(part):
    """How Keras would save a part, without names."""

    def without(value):
        if not isinstance(value, dict):
            return value
        return {k: without(v) for k, v in value.items() if k != "name"}

    return without(keras.saving.serialize_keras_object(part))

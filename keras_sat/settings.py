"""What two runs of training must have in common to be one."""

import json

import keras


def training_settings(model):
    """The network and the recipe, as far as JSON can hold them.

    Args:
        model: compiled `SATModel` with a built optimizer.

    Returns:
        Dict from the name of a part to its description. The names of layers
        are left out: they depend on what was built before.
    """
    serialized = keras.saving.serialize_keras_object
    variables = [*model.variables, *model.optimizer.variables]
    described = {
        "variables": [
            [v.path.split("/")[-1], list(v.shape), str(v.dtype)]
            for v in variables
        ],
        "attack": repr(model.attack),
        "objective": repr(model.objective),
        "optimizer": serialized(model.optimizer),
        "loss": serialized(model.loss),
        "weight_decay": model.weight_decay,
    }
    return json.loads(json.dumps(described, default=repr))

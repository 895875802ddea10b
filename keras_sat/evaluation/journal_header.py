"""The header of an evaluation's journal: what must stay the same."""

import hashlib
import os

import numpy as np

# How many images of the first batch the header has the logits of.
REMEMBERED_LOGITS = 4


def header(evaluated, data, attacks, epsilon, seed, adversarial_dir):
    """Returns what must be the same for an evaluation to be continued.

    Args:
        evaluated: `EvaluatedModel`.
        data: `CheckedDataset`.
        attacks: sequence of `Attack`.
        epsilon: float >= 0. Radius of the ball.
        seed: int >= 0.
        adversarial_dir: str or path-like, or `None`.

    Returns:
        Dict of what JSON can hold, for `Journal`.
    """
    if adversarial_dir is not None:
        adversarial_dir = os.path.abspath(adversarial_dir)
    return {
        "adversarial_dir": adversarial_dir,
        "attacks": settings(attacks),
        "epsilon": float(epsilon),
        "seed": seed,
        "value_range": list(map(float, evaluated.value_range)),
        "xla": evaluated.uses_xla,
        "weights": _hash_of_weights(evaluated.model),
        "predictions": _stable_predictions(evaluated, data),
    }


def settings(attacks):
    """Returns a dict with the class and the configuration of each attack.

    Args:
        attacks: sequence of `Attack`.
    """
    return [
        {"class": type(attack).__name__} | attack.get_config()
        for attack in attacks
    ]


def _stable_predictions(evaluated, data):
    """Returns some logits, as lists; none for a model that predicts at random.

    They tell networks without weights (functions) from each other.
    """
    again = evaluated.logits(data.first.images)
    if not np.allclose(data.first_logits, again, rtol=1e-3, atol=1e-3):
        return []
    return data.first_logits[:REMEMBERED_LOGITS].astype(float).tolist()


def _hash_of_weights(model):
    """Returns a hash of the weights of a model, a str."""
    digest = hashlib.sha256()
    # The `variables` of a Keras model include metrics and the states of random
    # seeds, which change while the model is used; its `weights` do not. Other
    # objects may have `variables` only, and functions have neither.
    variables = getattr(model, "variables", ())
    for variable in getattr(model, "weights", variables):
        digest.update(np.ascontiguousarray(variable).tobytes())
    return digest.hexdigest()

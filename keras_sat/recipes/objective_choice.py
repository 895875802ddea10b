"""The objective of a recipe, from numbers that JSON holds."""

from keras_sat import checks
from keras_sat.training.objectives import MART
from keras_sat.training.objectives import TRADES
from keras_sat.training.objectives import AdversarialTraining
from keras_sat.training.wrapped_objectives import AWP


def objective_of(trades_beta, mart_beta, awp_gamma):
    """Returns the objective that the fields of a recipe stand for.

    Args:
        trades_beta, mart_beta, awp_gamma: see `Recipe`.

    Returns:
        `Objective`.

    Raises:
        TypeError: If an argument is no number.
        ValueError: If one is less than 0, or two of them exclude each other.
    """
    checks.real("trades_beta", trades_beta, least=0)
    checks.real("mart_beta", mart_beta, least=0)
    checks.real("awp_gamma", awp_gamma, least=0)
    if trades_beta and mart_beta:
        checks.refuse("mart_beta", "be 0 with TRADES", mart_beta)
    objective = AdversarialTraining()
    if trades_beta:
        objective = TRADES(beta=trades_beta)
    if mart_beta:
        objective = MART(beta=mart_beta)
    if awp_gamma:
        objective = AWP(objective=objective, gamma=awp_gamma)
    return objective

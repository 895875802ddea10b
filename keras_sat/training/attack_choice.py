"""The attacks that a model trains against and is evaluated against."""

import contextlib

from keras_sat import checks
from keras_sat.attacks import PGD
from keras_sat.attacks import AutoAttack
from keras_sat.attacks.attack import Attack
from keras_sat.attacks.attack import check_stays_in_ball
from keras_sat.attacks.attack import check_untargeted

# Those of the paper.
TRAINING_ATTACK = PGD(epsilon=4 / 255, step_size=4 / 255, steps=1)
EVALUATION_ATTACK = PGD(epsilon=4 / 255, step_size=1 / 255, steps=10)


def check_training_attack(name, attack):
    """Refuses what a model cannot be trained against.

    Args:
        name: str. The argument, for errors.
        attack: what a user passed.

    Raises:
        TypeError: If it is no `Attack`.
        ValueError: If it is a targeted one.
    """
    _check_attack(name, attack, (Attack,))


def check_evaluation_attack(name, attack):
    """Refuses what a model cannot be evaluated against.

    Args:
        name: str. The argument, for errors.
        attack: what a user passed: an `Attack`, or an `AutoAttack`.

    Raises:
        TypeError: If it is neither of them.
        ValueError: If it is a targeted attack, or one that leaves its ball.
    """
    _check_attack(name, attack, (Attack, AutoAttack))
    if isinstance(attack, Attack):
        check_stays_in_ball(name, [attack])


class OtherAttacks:
    """The attacks other than its own that a model has been evaluated against.

    The function that evaluates against an attack is compiled for that attack.
    It is kept here, so that the next evaluation need not compile it again.
    """

    def __init__(self):
        self._functions = {}

    @contextlib.contextmanager
    def lent(self, model, attack):
        """Lends a model another attack to be evaluated against.

        Args:
            model: `SATModel`. It has its own attack again in the end.
            attack: `Attack` or `AutoAttack`; with `None` nothing happens.

        Raises:
            TypeError, ValueError: See `check_evaluation_attack`.
        """
        if attack is None:
            yield
            return
        check_evaluation_attack("attack", attack)
        attack = attack.replace(value_range=model.value_range)
        own, function = model.eval_attack, model.test_function
        model.eval_attack = attack
        model.test_function = self._functions.get(attack)
        try:
            yield
            # Keras has made it meanwhile, if there was none.
            self._functions[attack] = model.test_function
        finally:
            model.eval_attack, model.test_function = own, function


def _check_attack(name, attack, kinds):
    """Refuses an attack that is of none of some classes, or targeted."""
    if not isinstance(attack, kinds):
        named = " or ".join(kind.__name__ for kind in kinds)
        checks.refuse(name, f"be an {named}", attack, error=TypeError)
    if isinstance(attack, Attack):
        check_untargeted(name, [attack])

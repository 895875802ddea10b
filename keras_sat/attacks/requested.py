"""From what users call their attacks to the attacks."""

from keras_sat import checks
from keras_sat.attacks import norms
from keras_sat.attacks.attack import Attack
from keras_sat.attacks.attack import check_untargeted
from keras_sat.attacks.auto_attack import NAMED
from keras_sat.attacks.auto_attack import VERSIONS
from keras_sat.attacks.auto_attack import AutoAttack

EPSILON, NORM = 4 / 255, "linf"


def ensemble(attacks, epsilon=None, norm=None, value_range=(0.0, 1.0)):
    """The `AutoAttack` that runs what a user asked for.

    Args:
        attacks: see `evaluate_robustness`.
        epsilon: float >= 0. Radius for all, in place of their own; 0 stands
            for no attack, and is left to the caller. Defaults to that of the
            attacks, or `4 / 255`.
        norm: str. The norm for all. Defaults to that of the attacks, or
            `"linf"`.
        value_range: pair of floats.

    Raises:
        TypeError: If `attacks` is of a kind that cannot be used.
        ValueError: If an attack is unknown or targeted, if the attacks differ
            in a radius or norm that is not given, or if it is out of range.
    """
    if isinstance(attacks, AutoAttack):
        attacks = attacks.attacks
    elif isinstance(attacks, Attack):
        attacks = (attacks,)
    elif isinstance(attacks, str):
        names = sorted(VERSIONS | NAMED)
        if attacks not in names:
            checks.refuse("attacks", f"be one of {names}, or Attacks", attacks)
        attacks = VERSIONS.get(attacks) or (NAMED[attacks],)
    elif not isinstance(attacks, list | tuple):
        checks.refuse(
            "attacks",
            "be a name, an Attack, an AutoAttack or a sequence of these",
            attacks,
            error=TypeError,
        )
    given = [attack for attack in attacks if isinstance(attack, Attack)]
    check_untargeted("attacks", given)
    given = [a for a in given if a not in NAMED.values()]
    if norm is None:
        norm = _common("norm", given, NORM)
    if epsilon is None:
        epsilon = _common("epsilon", given, EPSILON)
    norms.check_radius(epsilon, norm, allow_zero=True)
    epsilon = epsilon or EPSILON
    return AutoAttack(
        epsilon=epsilon,
        norm=norm,
        attacks=tuple(
            a.resized(epsilon, norm) if isinstance(a, Attack) else a
            for a in attacks
        ),
        value_range=value_range,
    )


def _common(field, attacks, default):
    """The value of a field that all attacks have, or the default."""
    values = {getattr(attack, field) for attack in attacks} or {default}
    if len(values) > 1:
        checks.refuse(
            "attacks",
            f"have one `{field}`",
            checks.Described(f"{sorted(values)}"),
            f"Give `{field}` to choose one for all.",
        )
    return values.pop()

"""The attacks that a user asks for: by name, as objects, or as a mixture."""

import dataclasses

from keras_sat import checks
from keras_sat.attacks import norms
from keras_sat.attacks.attack import Attack
from keras_sat.attacks.attack import check_untargeted
from keras_sat.attacks.auto_attack import NAMED
from keras_sat.attacks.auto_attack import VERSIONS
from keras_sat.attacks.auto_attack import AutoAttack

DEFAULT_EPSILON, DEFAULT_NORM = 4 / 255, "linf"


@dataclasses.dataclass(frozen=True)
class RequestedAttacks:
    """The attacks that a user asked for, all within one ball.

    Args:
        ensemble: `AutoAttack` that holds the attacks.
        epsilon: float >= 0. Radius of the ball. 0 stands for "no attack"; the
            attacks of `ensemble` then have another radius, and are not made.
    """

    ensemble: AutoAttack
    epsilon: float

    @property
    def norm(self):
        """The norm of the ball, a str."""
        return self.ensemble.norm

    def named(self, num_classes):
        """Returns the attacks that a report names, in their order.

        Args:
            num_classes: int >= 2. How many classes the model tells apart.
        """
        return self.ensemble.sequence(num_classes)

    def tried(self, num_classes):
        """Returns the attacks that have to be made: none for the radius 0.

        Args:
            num_classes: int >= 2. How many classes the model tells apart.
        """
        return self.named(num_classes) if self.epsilon else ()


def requested_attacks(attacks, epsilon=None, norm=None, value_range=(0.0, 1.0)):
    """Returns the attacks that a user asked for, as `RequestedAttacks`.

    Args:
        attacks: see `evaluate_robustness`.
        epsilon: float >= 0. Radius for all attacks, in place of their own; 0
            stands for "no attack". Defaults to that of the attacks, or
            `4 / 255`.
        norm: str. The norm for all attacks. Defaults to that of the attacks, or
            `"linf"`.
        value_range: pair of floats. Black and white in the images.

    Raises:
        TypeError: If `attacks` is of a kind that cannot be used.
        ValueError: If an attack is unknown or targeted, if the attacks differ
            in a radius or norm that is not given, or if it is out of range.
    """
    attacks = _listed(attacks)
    epsilon, norm = _ball(attacks, epsilon, norm)
    # An `Attack` has a radius above 0, even if it is never made.
    radius = epsilon or DEFAULT_EPSILON
    ensemble = AutoAttack(
        epsilon=radius,
        norm=norm,
        attacks=tuple(
            attack.resized(radius, norm)
            if isinstance(attack, Attack)
            else attack
            for attack in attacks
        ),
        value_range=value_range,
    )
    return RequestedAttacks(ensemble, epsilon)


def _listed(attacks):
    """Returns a sequence of attacks and of names, whatever form was given."""
    if isinstance(attacks, AutoAttack):
        return attacks.attacks
    if isinstance(attacks, Attack):
        return (attacks,)
    if isinstance(attacks, str):
        names = sorted(VERSIONS | NAMED)
        if attacks not in names:
            checks.refuse("attacks", f"be one of {names}, or Attacks", attacks)
        return VERSIONS.get(attacks) or (NAMED[attacks],)
    if not isinstance(attacks, list | tuple):
        checks.refuse(
            "attacks",
            "be a name, an Attack, an AutoAttack or a sequence of these",
            attacks,
            error=TypeError,
        )
    return attacks


def _ball(attacks, epsilon, norm):
    """Returns the radius and the norm that all the attacks are to have."""
    given = [attack for attack in attacks if isinstance(attack, Attack)]
    check_untargeted("attacks", given)
    # The attacks behind the names have default balls that nobody asked for.
    given = [attack for attack in given if attack not in NAMED.values()]
    if norm is None:
        norm = _common("norm", given, DEFAULT_NORM)
    if epsilon is None:
        epsilon = _common("epsilon", given, DEFAULT_EPSILON)
    norms.check_radius(epsilon, norm, allow_zero=True)
    return epsilon, norm


def _common(field, attacks, default):
    """Returns the value of a field that all attacks share, or the default."""
    values = {getattr(attack, field) for attack in attacks} or {default}
    if len(values) > 1:
        checks.refuse(
            "attacks",
            f"have one `{field}`",
            checks.Described(f"{sorted(values)}"),
            f"Give `{field}` to choose one for all.",
        )
    return values.pop()

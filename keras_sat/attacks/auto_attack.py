"""AutoAttack: several attacks, each on the images that withstood the others."""

import dataclasses

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks.apgd import APGD
from keras_sat.attacks.attack import Attack
from keras_sat.attacks.attack import check_stays_in_ball
from keras_sat.attacks.attack import check_untargeted
from keras_sat.attacks.fab import FAB
from keras_sat.attacks.loops import where
from keras_sat.attacks.network import compiled_network
from keras_sat.attacks.seeds import fold_in
from keras_sat.attacks.square import Square
from keras_sat.attacks.stages import attacked
from keras_sat.attacks.stages import new_stage
from keras_sat.config import Config
from keras_sat.predictions.inference import checked_inference
from keras_sat.predictions.labels import check_classes
from keras_sat.predictions.labels import is_right

NAMED = {
    "apgd-ce": APGD(),
    "apgd-dlr": APGD(loss="dlr"),
    "apgd-t": APGD(loss="dlr", target_classes=9),
    "fab": FAB(target_classes=None),
    "fab-t": FAB(),
    "square": Square(),
}
VERSIONS = {
    "standard": tuple(
        NAMED[name] for name in ("apgd-ce", "apgd-t", "fab-t", "square")
    ),
    "rand": tuple(
        NAMED[name].replace(expectation_steps=20)
        for name in ("apgd-ce", "apgd-dlr")
    ),
}


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoAttack(Config):
    """An ensemble of parameter-free attacks, one after the other.

    Each attack is made on the images that withstood the ones before.

    `version="standard"` consists of APGD on the cross-entropy, APGD on the
    targeted DLR loss, targeted FAB, and Square. `version="rand"`, for models
    that predict at random, consists of APGD on the cross-entropy and on the DLR
    loss, with gradients averaged over 20 predictions.

    If there is no gradient path from the logits of a model to its images, an
    ensemble of several attacks uses a gradient of zero and warns, so that
    Square can still break images. A single gradient attack raises an error.

    With fewer than 10 classes there are fewer target classes. With 3 classes,
    for which the targeted DLR loss is not defined, APGD on the DLR loss takes
    its place, and with 2 classes APGD on the margin takes the place of both.

    It is called like an `Attack`. Outside a `tf.function`, each attack is given
    the survivors only, in pieces of about two seconds, after each of which
    Ctrl-C is heard. The network is compiled once for all attacks and batches:
    for any batch size, or, with XLA, for each. Inside a `tf.function`, each
    attack computes on the whole batch.

    Args:
        epsilon: float > 0. Radius of the ball, as a fraction of the width of
            `value_range`. At most 1 for `norm="linf"`. Defaults to
            `4 / 255`.
        norm: str. `"linf"` or `"l2"`. Defaults to `"linf"`.
        version: str. `"standard"` or `"rand"`. Defaults to `"standard"`.
        attacks: sequence of `Attack` objects and of names: `"apgd-ce"`,
            `"apgd-dlr"`, `"apgd-t"`, `"fab"`, `"fab-t"` and `"square"`. They
            get the `epsilon`, `norm` and `value_range` of this object. Defaults
            to the attacks of `version`.
        value_range: pair of floats. Black and white in the images that the
            model takes. Defaults to `(0.0, 1.0)`.

    Raises:
        TypeError: If an attack is of a kind that cannot be used.
        ValueError: If a field is out of range, or an attack is unknown or
            targeted.

    Example:

    ```python
    attack = keras_sat.AutoAttack(epsilon=8 / 255)
    adversarial = attack(model, images, labels)
    ```

    Reference:
    - [Croce and Hein, 2020](https://arxiv.org/abs/2003.01690)
    """

    epsilon: float = 4 / 255
    norm: str = "linf"
    version: str = "standard"
    attacks: tuple | None = None
    value_range: tuple = (0.0, 1.0)

    def __post_init__(self):
        attacks = checks.lookup("version", self.version, VERSIONS)
        if self.attacks is not None:
            attacks = [_attack(given) for given in self.attacks]
        if not attacks:
            checks.refuse("attacks", "not be empty", self.attacks)
        check_untargeted("attacks", attacks)
        check_stays_in_ball("attacks", attacks)
        attacks = tuple(
            attack.replace(
                epsilon=self.epsilon,
                norm=self.norm,
                value_range=self.value_range,
            )
            for attack in attacks
        )
        object.__setattr__(self, "attacks", attacks)
        object.__setattr__(self, "value_range", tuple(self.value_range))

    @property
    def label(self):
        """A short name for reports and plots."""
        standard = self.version == "standard"
        return "AutoAttack" if standard else f"AutoAttack-{self.version}"

    def replace(self, **changes):
        """Returns a copy with other values in some of the fields."""
        # Another version stands for its own attacks, not for the old ones.
        if "version" in changes:
            changes = {"attacks": None} | changes
        return super().replace(**changes)

    def for_classes(self, num_classes):
        """Returns the ensemble of the attacks for a number of classes.

        Args:
            num_classes: int >= 2. How many classes the model tells apart.
        """
        checks.integer("num_classes", num_classes, least=2)
        attacks = []
        for attack in self.attacks:
            chosen = attack.for_classes(num_classes)
            # The substitute for an attack may be one of the attacks already.
            if chosen == attack or chosen not in attacks:
                attacks.append(chosen)
        return self.replace(attacks=tuple(attacks))

    def sequence(self, num_classes):
        """Returns the attacks in the order in which they are made.

        If there are several, a missing gradient counts as zero, so that attacks
        that need none, like Square, can still be made.

        Args:
            num_classes: int >= 2. How many classes the model tells apart.
        """
        attacks = self.for_classes(num_classes).attacks
        if len(attacks) < 2:
            return attacks
        return tuple(attack.lenient() for attack in attacks)

    def __call__(self, model, images, labels, seed=None, jit_compile="auto"):
        """Attacks a batch of images.

        Args:
            model, images, labels, seed: see `Attack.__call__`.
            jit_compile: bool or `"auto"`. Whether to use XLA; `"auto"` uses it
                where there is an accelerator, and not for what it cannot
                compile. Has no effect inside a `tf.function`. Defaults to
                `"auto"`.

        Returns:
            float32 tensor like `images`: the first misclassified image found,
            or the clean one.

        Raises:
            TypeError, ValueError: See `Attack.__call__`.
        """
        predict = checked_inference(model)
        first = self.attacks[0]
        images, labels, seed = first.arguments(images, labels, seed, model)
        logits = predict(images)
        check_classes(labels, logits)
        alive = is_right(labels, logits)
        adversarial = images
        run = self._attacker(model, images, jit_compile)
        for i, attack in enumerate(self.sequence(logits.shape[-1])):
            found = run(attack, adversarial, labels, fold_in(seed, i), alive)
            broken = alive & ~is_right(labels, predict(found))
            adversarial = where(broken, found, adversarial)
            alive &= ~broken
        return adversarial

    def _attacker(self, model, images, jit_compile):
        """Returns a function that makes an attack on the images left.

        Args:
            model, images, jit_compile: see `__call__`.

        Returns:
            Function `(attack, images, labels, seed, alive) -> images`.
        """
        if not tf.executing_eagerly():
            # How many images are left is not known in a graph.
            return lambda attack, *batch: attack(model, *batch[:-1])
        network = compiled_network(model, jit_compile)
        num_classes = network(images).shape[-1]

        def run(attack, images, labels, seed, alive):
            empty = new_stage(attack, network, num_classes, len(images), seed)
            return attacked(empty, images, labels, alive)

        return run


def _attack(given):
    """Returns the attack of a name; an attack is returned as it is."""
    if isinstance(given, Attack):
        return given
    if not isinstance(given, str):
        checks.refuse(
            "attacks",
            f"hold Attack objects, or names from {sorted(NAMED)}",
            given,
            error=TypeError,
        )
    return checks.lookup("attacks", given, NAMED)

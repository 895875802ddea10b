"""AutoAttack: several attacks, each on what the ones before left standing."""

import dataclasses
import weakref

import keras
import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat import xla
from keras_sat.attacks import losses
from keras_sat.attacks.apgd import APGD
from keras_sat.attacks.attack import Attack
from keras_sat.attacks.attack import attacked
from keras_sat.attacks.attack import check_untargeted
from keras_sat.attacks.attack import fold_in
from keras_sat.attacks.attack import to_float
from keras_sat.attacks.attack import where
from keras_sat.attacks.fab import FAB
from keras_sat.attacks.square import Square
from keras_sat.config import Config

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

# From each model to its compiled functions; a model is not kept alive by them.
_FUNCTIONS = weakref.WeakKeyDictionary()


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoAttack(Config):
    """An ensemble of parameter-free attacks, each on the survivors of the last.

    `version="standard"` is APGD on the cross-entropy, APGD on the targeted DLR
    loss, targeted FAB, and Square. `version="rand"`, for models that predict at
    random, is APGD on the cross-entropy and on the DLR loss, with gradients
    averaged over 20 predictions.

    A model with no gradient path from its logits to its images has a gradient
    of zero for an ensemble of several attacks: a warning says so, and Square
    finds what it finds. A single gradient attack refuses it.

    With fewer than 10 classes there are fewer target classes. With 3 classes,
    for which the targeted DLR loss is not defined, APGD on the DLR loss takes
    its place, and with 2 classes APGD on the margin takes the place of both.

    It is called like an `Attack`. Outside a `tf.function`, an attack is given
    the survivors alone, and is compiled once for a model: for any batch size,
    or, with XLA, for powers of two. Inside one, survivors are not gathered,
    and each attack computes on the whole batch.

    Args:
        epsilon: float > 0. Radius of the ball, as a fraction of the width of
            `value_range`. At most 1 for `norm="linf"`. Defaults to
            `4 / 255`.
        norm: str. `"linf"` or `"l2"`. Defaults to `"linf"`.
        version: str. `"standard"` or `"rand"`. Defaults to `"standard"`.
        attacks: sequence of `Attack` objects, or of names of
            `"apgd-ce"`, `"apgd-dlr"`, `"apgd-t"`, `"fab"`, `"fab-t"` and
            `"square"`, to be used instead. They are given the `epsilon`, `norm`
            and `value_range` of this object. Defaults to those of `version`.
        value_range: pair of floats. What black and white are in the images
            that the model takes. Defaults to `(0.0, 1.0)`.

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
        """A copy with other values in some of the fields."""
        if "version" in changes:
            changes = {"attacks": None} | changes
        return super().replace(**changes)

    def for_classes(self, num_classes):
        """The ensemble of what applies to a number of classes.

        Args:
            num_classes: int >= 2. How many classes the model tells apart.
        """
        checks.integer("num_classes", num_classes, least=2)
        attacks = []
        for attack in self.attacks:
            chosen = attack.for_classes(num_classes)
            # A stand-in may be one of the attacks already.
            if chosen == attack or chosen not in attacks:
                attacks.append(chosen)
        return self.replace(attacks=tuple(attacks))

    def sequence(self, num_classes):
        """The attacks that are run one after the other.

        Several are lenient: what has no gradient is left to those that need
        none.

        Args:
            num_classes: int >= 2. How many classes the model tells apart.
        """
        attacks = self.for_classes(num_classes).attacks
        if len(attacks) < 2:
            return attacks
        return tuple(attack.lenient() for attack in attacks)

    def __call__(self, model, images, labels, seed=None, jit_compile="auto"):
        """Attacks a batch.

        Args:
            model, images, labels, seed: see `Attack.__call__`.
            jit_compile: bool or `"auto"`. Whether to use XLA; `"auto"` uses it
                where there is an accelerator, and not for what it cannot
                compile. Defaults to `"auto"`.

        Returns:
            float32 tensor like `images`: the first misclassified image found,
            or the clean one.
        """
        predict = attacked(model)
        first = self.attacks[0]
        images, labels, seed = first.arguments(images, labels, seed, model)
        logits = predict(images)
        losses.check_classes(labels, logits)
        alive = ~_is_wrong(labels, logits)
        adversarial = images
        for i, attack in enumerate(self.sequence(logits.shape[-1])):
            arguments = adversarial, labels, fold_in(seed, i)
            if tf.executing_eagerly():
                run = _remembered(attack, model, jit_compile)
                found = on_survivors(run, *arguments, alive)
            else:
                found = attack(model, *arguments)
            broken = alive & _is_wrong(labels, predict(found))
            adversarial = where(broken, found, adversarial)
            alive &= ~broken
        return adversarial


def compiled(attack, model, jit_compile=False):
    """An attack on a model, compiled once for each shape of images.

    Keep it and call it with many batches. Without XLA, batches of any size
    share what is compiled; with XLA, each size is compiled anew
    (`on_survivors` sees to it that they are few).

    Args:
        attack: `Attack`.
        model: as in `Attack.__call__`.
        jit_compile: bool or `"auto"`. Whether to use XLA; `"auto"` uses it
            where there is an accelerator, and not for what it cannot compile.
            Defaults to `False`.

    Returns:
        Function `(images, labels, seed) -> adversarial images`. The images are
        expected in `value_range`, or uint8, and are not checked.

    Raises:
        ValueError: If `jit_compile` is `True` and XLA cannot compile the
            model.
    """
    return Compiled(attack, lambda: model, jit_compile)


class Compiled:
    """See `compiled`.

    Args:
        attack: `Attack`.
        model: function without arguments that gives the model.
        jit_compile: bool or `"auto"`. Whether to use XLA.
    """

    def __init__(self, attack, model, jit_compile):
        def run(images, labels, seed):
            return attack(model(), images, labels, seed)

        self.attack = attack
        self.jit_compile = xla.wanted(jit_compile, model())
        self._plain = tf.function(run, autograph=False)
        if self.jit_compile:
            self._fast = xla.Function(
                run, jit_compile, model(), otherwise=self._of_any_size
            )

    def __call__(self, images, labels, seed):
        images = to_float(images, self.attack.value_range)
        labels = losses.canonical(labels)
        arguments = images, labels, tf.cast(seed, tf.int32)
        if self.jit_compile:
            return self._fast(*arguments)
        return self._of_any_size(*arguments)

    def _of_any_size(self, *arguments):
        images, labels, _ = arguments
        # The batch size is left open, so that survivors are not padded.
        shapes = (None, *images.shape[1:]), (None, *labels.shape[1:]), (2,)
        signature = [
            tf.TensorSpec(shape, argument.dtype)
            for shape, argument in zip(shapes, arguments, strict=True)
        ]
        return self._plain.get_concrete_function(*signature)(*arguments)


def on_survivors(run, images, labels, seed, alive):
    """Attacks some of the images of a batch; needs no fixed number of them.

    For a function compiled with XLA, the survivors are repeated to the next
    power of two, or to the whole batch, so that few shapes are compiled.

    Args:
        run: what `compiled` returned.
        images: float32 tensor `(batch, ...)`.
        labels: int tensor `(batch,)`, or `(batch, num_classes)`.
        seed: int tensor `(2,)`.
        alive: bool array `(batch,)`. The images to attack.

    Returns:
        Tensor like `images`: the adversarial ones, and the others as they are.
    """
    indices = np.flatnonzero(alive)
    count = len(indices)
    if not count:
        return images
    padded = indices
    if run.jit_compile:
        size = min(2 ** (count - 1).bit_length(), len(images))
        padded = np.resize(indices, size)
    found = run(tf.gather(images, padded), tf.gather(labels, padded), seed)
    return tf.tensor_scatter_nd_update(
        images, indices[:, np.newaxis], found[:count]
    )


def _remembered(attack, model, jit_compile):
    """What `compiled` made for these arguments, now or at an earlier call."""
    functions = _FUNCTIONS.setdefault(model, {})
    key = attack, attack.is_lenient, jit_compile
    if key not in functions:
        functions[key] = Compiled(attack, weakref.ref(model), jit_compile)
    return functions[key]


def _is_wrong(labels, logits):
    ids = tf.cast(losses.class_ids(labels), tf.int32)
    return tf.argmax(logits, axis=-1, output_type=tf.int32) != ids


def _attack(given):
    """The attack of a name; an attack is given back as it is."""
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

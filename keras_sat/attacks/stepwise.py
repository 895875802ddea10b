"""Attacks whose work can be put aside after any step, image by image."""

import abc
import dataclasses
from typing import NamedTuple

import tensorflow as tf

from keras_sat.attacks.attack import Attack
from keras_sat.attacks.loops import where


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepwiseAttack(Attack):
    """Base class of attacks that are made of `begin` and `step`.

    Between two steps, all that such an attack knows is in its state: a named
    tuple, or a nest of them, of tensors whose first dimension is the batch.
    Images are independent of each other, so that a state may be split, and
    joined with another one, as it suits those who run the attack. It has the
    fields `adversarial`, the result so far, and `done`, `(batch,)`, true where
    no step will change that any more.
    """

    perturb_restarts = True

    def shared(self, images, seed):
        """Returns what all steps and all images have in common.

        It is computed once for many steps, and given to each of them.

        Args:
            images: float32 tensor `(batch, ...)`, of which only the shape
                counts.
            seed: int32 tensor `(2,)`.

        Returns:
            Nest of tensors that depend on nothing else. Defaults to `seed`.
        """
        del images
        return seed

    @abc.abstractmethod
    def begin(self, network, images, labels, rows, seed):
        """Returns the state before the first step.

        Args:
            network: `Network`.
            images: float32 tensor `(batch, ...)` in `value_range`.
            labels: int tensor `(batch,)`, or probabilities
                `(batch, num_classes)`.
            rows: int32 tensor `(batch,)`. Numbers of the images, from which
                their random numbers come.
            seed: int32 tensor `(2,)`. The same for all images.
        """

    @abc.abstractmethod
    def step(self, network, state, shared):
        """Returns the state after one more step.

        Args:
            network: see `begin`.
            state: as `begin` or `step` returned it.
            shared: as `shared` returned it.
        """

    @abc.abstractmethod
    def num_steps(self, num_classes):
        """Returns the number of steps that are made at most, an int.

        Args:
            num_classes: int >= 2. How many classes the model tells apart.
        """

    def perturb(self, predict, images, labels, seed):
        """See `Attack.perturb`; makes all the attempts."""
        rows = tf.range(tf.shape(images)[0])
        state = self.begin(predict, images, labels, rows, seed)
        return advance(self, predict, state, seed).adversarial


def advance(attack, network, state, seed, steps=None):
    """Returns the state of an attack after a number of steps.

    Args:
        attack: `StepwiseAttack`.
        network, seed: see `StepwiseAttack.begin`.
        state: as `begin` returned it, or an earlier call of this function.
        steps: int tensor `()`. How many steps to make, unless all images are
            done before. Defaults to as many as it takes.
    """

    shared = attack.shared(state.images, seed)

    def goes_on(i, state):
        unfinished = ~tf.reduce_all(state.done)
        return unfinished if steps is None else unfinished & (i < steps)

    def step(i, state):
        new = attack.step(network, state, shared)
        # A network that calls Python may have forgotten the shapes.
        tf.nest.map_structure(lambda x, y: x.set_shape(y.shape), new, state)
        return i + 1, new

    return tf.while_loop(
        goes_on,
        step,
        (tf.constant(0), state),
        # Each step needs the one before. More would only take memory.
        parallel_iterations=1,
    )[1]


def choose(condition, new, old):
    """Returns one of two states for each image.

    Args:
        condition: bool tensor `(batch,)`. True for the images that get `new`.
        new, old: states of the same structure.
    """
    return tf.nest.map_structure(lambda x, y: where(condition, x, y), new, old)


class Whole(NamedTuple):
    """The state of an attack that makes all its work in a single step.

    Args:
        images: float32 tensor. The clean images.
        labels: see `StepwiseAttack.begin`.
        adversarial: tensor like `images`.
        done: bool tensor `(batch,)`.
    """

    images: tf.Tensor
    labels: tf.Tensor
    rows: tf.Tensor
    adversarial: tf.Tensor
    done: tf.Tensor


class InOneStep:
    """An attack that gives `perturb` alone, in the form of a stepwise one.

    Args:
        attack: `Attack`.
    """

    def __init__(self, attack):
        self.attack = attack

    def begin(self, network, images, labels, rows, seed):
        """See `StepwiseAttack.begin`."""
        return Whole(images, labels, rows, images, tf.zeros_like(rows, tf.bool))

    def shared(self, images, seed):
        """See `StepwiseAttack.shared`."""
        return seed

    def step(self, network, state, shared):
        """See `StepwiseAttack.step`."""
        found = self.attack.all_restarts(
            network, state.images, state.labels, shared
        )
        return state._replace(adversarial=found, done=tf.ones_like(state.done))

    def num_steps(self, num_classes):
        """See `StepwiseAttack.num_steps`."""
        return 1


def in_steps(attack):
    """Returns an attack in the form of steps.

    Args:
        attack: `Attack`, or what is in that form already.

    Returns:
        The attack itself, if it is a `StepwiseAttack`. Any other attack becomes
        one that makes all its work in a single step. So does one whose class
        has another `perturb` than the class that defines its steps.
    """
    if not isinstance(attack, Attack):
        return attack
    if isinstance(attack, StepwiseAttack):
        for kind in type(attack).__mro__:
            if "step" in vars(kind):
                return attack
            if "perturb" in vars(kind):
                break
    return InOneStep(attack)

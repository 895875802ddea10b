"""Attacks that are written from outside, stepwise or in one go."""

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from keras_sat.attacks import PGD
from keras_sat.attacks import AutoAttack
from keras_sat.attacks.attack import Attack
from keras_sat.attacks.loops import per_image
from keras_sat.attacks.network import CompiledNetwork
from keras_sat.attacks.pieces import Pieces
from keras_sat.attacks.stepwise import StepwiseAttack
from keras_sat.attacks.stepwise import choose
from keras_sat.attacks.stepwise import in_steps
from tests.attacks import problems
from tests.evaluation.short_evaluations import evaluate
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric
SEED = np.array([1, 2], "int32")


class State(NamedTuple):
    """The state of `Darkening`."""

    images: tf.Tensor
    labels: tf.Tensor
    rows: tf.Tensor
    count: tf.Tensor
    adversarial: tf.Tensor
    done: tf.Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Darkening(StepwiseAttack):
    """Makes images darker by a tenth of the radius in each step."""

    def begin(self, network, images, labels, rows, seed):
        """See `StepwiseAttack.begin`."""
        done = self.succeeds(labels, network(images))
        zeros = tf.zeros_like(rows)
        return State(images, labels, rows, zeros, images, done)

    def step(self, network, state, shared):
        """See `StepwiseAttack.step`."""
        count = tf.where(state.done, state.count, state.count + 1)
        amount = self.epsilon * self.width * tf.cast(count, tf.float32) / 10
        darker = self.project(
            state.images - per_image(amount, state.images), state.images
        )
        success = self.succeeds(state.labels, network(darker))
        return state._replace(
            count=count,
            adversarial=tf.where(
                per_image(state.done, darker), state.adversarial, darker
            ),
            done=state.done | success | (count >= 10),
        )

    def num_steps(self, num_classes):
        """See `StepwiseAttack.num_steps`."""
        return 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noise(Attack):
    """Adds noise in one go; gives `perturb` alone."""

    def perturb(self, predict, images, labels, seed):
        """See `Attack.perturb`."""
        noise = tf.random.stateless_uniform(tf.shape(images), seed, -1, 1)
        return self.project(images + noise, images)


class Backwards(PGD):
    """A PGD of which `perturb` alone was replaced."""

    def perturb(self, predict, images, labels, seed):
        """See `Attack.perturb`."""
        return self.project(images - 0.02, images)


class StepwiseTest(TestCase):
    def setUp(self):
        super().setUp()
        self.use_deterministic_ops()
        images = np.random.default_rng(0).uniform(0.4, 1, (20, 4))
        self.images = images.astype("float32")
        self.labels = np.argmax(self.model(self.images), axis=1)
        self.labels = self.labels.astype("int32")
        self.rows = np.arange(20, dtype="int32")

    def model(self, images):
        """Returns logits of class 0 for dark images, of 1 for bright ones."""
        return problems.dark_or_bright(images)

    def test_an_attack_from_outside_is_called_run_in_pieces_and_evaluated(self):
        attack = Darkening(epsilon=0.2)
        mean = self.images.mean(1)
        expected = (self.labels == 1) & (mean - 0.2 < 0.5)
        self.assertBetween(expected.sum(), 3, 17)
        found = attack(self.model, self.images, self.labels, SEED)
        self.assertAllEqual(
            np.argmax(self.model(found), axis=1) != self.labels, expected
        )
        # The first success ends the attack: no tenth more than needed.
        tenths = np.ceil((mean - 0.5) / 0.02)
        tenths = np.where(expected, tenths, 10)
        self.assertAllClose(
            found, self.images - 0.02 * tenths[:, np.newaxis], atol=1e-6
        )
        model = self.model
        network = CompiledNetwork(model, jit_compile=False)
        pieces = Pieces(attack, network)
        state = pieces.begin(self.images, self.labels, self.rows, SEED)
        while not np.all(state.done):
            state = pieces.advance(state, SEED, 3)
        self.assertAllClose(state.adversarial, found, atol=1e-6)
        self.assertAllEqual(state.count, tenths)
        report = evaluate(
            model, (self.images, self.labels), [attack], epsilon=0.2
        )
        self.assertAllEqual(report.outcomes, np.where(expected, 0, 1))
        ensemble = AutoAttack(attacks=[attack], epsilon=0.2)
        found = ensemble(model, self.images, self.labels, SEED)
        self.assertAllEqual(np.any(found != self.images, axis=1), expected)

    def test_an_attack_that_gives_perturb_alone_makes_one_step(self):
        model = self.model
        attack = Noise(epsilon=0.1, restarts=3)
        network = CompiledNetwork(model, jit_compile=False)
        pieces = Pieces(attack, network)
        self.assertEqual(in_steps(attack).num_steps(2), 1)
        state = pieces.begin(self.images, self.labels, self.rows, SEED)
        self.assertAllEqual(state.adversarial, self.images)
        self.assertFalse(np.any(state.done))
        state = pieces.advance(state, SEED, 1)
        self.assertTrue(np.all(state.done))
        expected = tf.function(
            lambda *batch: attack(model, *batch), autograph=False
        )(self.images, self.labels, SEED)
        self.assert_same_bits(state.adversarial, expected)
        self.assertTrue(np.all(np.any(expected != self.images, axis=1)))
        # Three attempts are worse than the first one alone.
        alone = attack.replace(restarts=1)(
            model, self.images, self.labels, SEED
        )
        self.assertTrue(np.any(expected != alone))

    def test_an_attack_that_gives_perturb_alone_can_be_evaluated(self):
        near = np.abs(self.images.mean(1) - 0.5) < 0.1
        report = evaluate(
            self.model,
            (self.images, self.labels),
            [Noise(epsilon=0.1, restarts=3), Darkening(epsilon=0.1)],
            epsilon=0.1,
            batch_size=7,
        )
        self.assertLen(report.outcomes, 20)
        # No attack in the ball gets further than the radius.
        self.assertAllEqual(report.outcomes[~near], np.full(sum(~near), 2))

    def test_what_replaces_perturb_is_not_passed_over(self):
        model = self.model
        network = CompiledNetwork(model, jit_compile=False)
        pieces = Pieces(Backwards(epsilon=0.1), network)
        state = pieces.begin(self.images, self.labels, self.rows, SEED)
        state = pieces.advance(state, SEED, 1000)
        self.assertAllClose(state.adversarial, self.images - 0.02, atol=1e-6)

    def test_states_are_chosen_image_by_image(self):
        one = {"x": tf.zeros((3, 2)), "y": (tf.zeros(3, tf.int32),)}
        two = {"x": tf.ones((3, 2)), "y": (tf.ones(3, tf.int32),)}
        found = choose(tf.constant([True, False, True]), one, two)
        self.assertAllEqual(found["x"], [[0, 0], [1, 1], [0, 0]])
        self.assertAllEqual(found["y"][0], [0, 1, 0])

"""Attacks in pieces give the bits of attacks that are made at once."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.attacks import APGD
from keras_sat.attacks import FAB
from keras_sat.attacks import FGSM
from keras_sat.attacks import PGD
from keras_sat.attacks import Square
from keras_sat.attacks.network import CompiledNetwork
from keras_sat.attacks.pieces import Pieces
from keras_sat.attacks.pieces import pieces_of
from tests.attacks import problems
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric
SEED = np.array([1, 2], "int32")
ALL = 10_000
# Chosen so that some images are broken, at different steps, and some are not.
EPSILON = {"linf": 0.01, "l2": 0.2}
ATTACKS = {
    "APGD-CE": APGD(steps=9, restarts=2),
    "APGD-T": APGD(steps=7, loss="dlr", target_classes=3),
    "FAB-T": FAB(steps=6, target_classes=3, restarts=2),
    "Square": Square(queries=15, restarts=2),
    "PGD": PGD(
        steps=5, step_size=0.01, restarts=3, best_iterate=True, loss="margin"
    ),
}
EVERY = [(f"{name}_{norm}", name, norm) for name in ATTACKS for norm in EPSILON]


def part_of(state, rows):
    """Returns some of the rows of a state."""
    return tf.nest.map_structure(lambda x: x[rows], state)


class PiecesTest(TestCase):
    def setUp(self):
        super().setUp()
        self.use_deterministic_ops()
        model, images, labels = problems.network()
        # A batch of another size adds in another order.
        self.model = problems.one_by_one(model)
        self.images, self.labels = images[:12], labels[:12]
        # One image is wrong from the beginning.
        self.labels[3] = (self.labels[3] + 1) % 5
        self.rows = np.arange(12, dtype="int32")

    def pieces(self, name, norm):
        """Returns the `Pieces` of an attack of `ATTACKS`."""
        attack = ATTACKS[name].resized(EPSILON[norm], norm)
        return Pieces(attack, CompiledNetwork(self.model, jit_compile=False))

    def begin(self, pieces, part=slice(None)):
        """Returns the state of some of the images before the first step."""
        batch = self.images[part], self.labels[part], self.rows[part]
        return pieces.begin(*batch, SEED)

    @parameterized.named_parameters(*EVERY)
    def test_the_length_of_pieces_changes_no_bit(self, name, norm):
        pieces = self.pieces(name, norm)
        one = seven = self.begin(pieces)
        for _ in range(3):
            for _ in range(7):
                one = pieces.advance(one, SEED, 1)
            seven = pieces.advance(seven, SEED, 7)
            some = ~np.asarray(seven.done)
            self.assert_same_bits(part_of(one, some), part_of(seven, some))
            self.assertAllEqual(one.done, seven.done)
            self.assert_same_bits(one.adversarial, seven.adversarial)
        while not np.all(seven.done):
            seven = pieces.advance(seven, SEED, 7)
        at_once = pieces.advance(self.begin(pieces), SEED, ALL)
        self.assertTrue(np.all(at_once.done))
        self.assert_same_bits(at_once.adversarial, seven.adversarial)
        broken = self.broken(at_once.adversarial)
        # At least one more than the one that was wrong before.
        self.assertBetween(np.sum(broken), 2, 11)

    @parameterized.named_parameters(*EVERY)
    def test_rows_are_independent_of_each_other(self, name, norm):
        pieces = self.pieces(name, norm)
        at_once = pieces.advance(self.begin(pieces), SEED, ALL)
        parts = [slice(0, 5), slice(5, 12)]
        states = [self.begin(pieces, part) for part in parts]
        # One part is ahead when they are joined, in another order.
        states[0] = pieces.advance(states[0], SEED, 4)
        states[1] = pieces.advance(states[1], SEED, 9)
        order = [11, 0, 10, 1, 9, 2, 8, 3, 7, 4, 6, 5]
        joined = tf.nest.map_structure(
            lambda *x: np.concatenate(x)[order], *states
        )
        joined = pieces.advance(joined, SEED, 3)
        # Those that are done leave, as in an evaluation.
        found = np.zeros_like(self.images)
        while len(joined.done):
            done = np.asarray(joined.done)
            found[np.asarray(joined.rows)[done]] = joined.adversarial[done]
            joined = part_of(joined, ~done)
            if len(joined.done):
                joined = pieces.advance(joined, SEED, 2)
        self.assert_same_attack(found, at_once.adversarial, name, norm)

    @parameterized.named_parameters(*[e for e in EVERY if e[1] != "PGD"])
    def test_pieces_give_what_the_attack_gives(self, name, norm):
        pieces = self.pieces(name, norm)
        found = pieces.advance(self.begin(pieces), SEED, ALL).adversarial
        attack = tf.function(
            lambda *batch: pieces.attack(self.model, *batch), autograph=False
        )
        expected = attack(self.images, self.labels, SEED)
        self.assert_same_attack(found, expected, name, norm)

    @parameterized.parameters("linf", "l2")
    def test_pgd_in_pieces_gives_what_the_attack_gives(self, norm):
        # Beyond that, an attack draws its starts for all images together.
        attack = PGD(steps=5, random_start=False, loss="margin")
        attack = attack.resized(EPSILON[norm], norm)
        network = CompiledNetwork(self.model, jit_compile=False)
        pieces = Pieces(attack, network)
        found = pieces.advance(self.begin(pieces), SEED, ALL).adversarial
        expected = tf.function(
            lambda *batch: attack(self.model, *batch), autograph=False
        )(self.images, self.labels, SEED)
        self.assert_same_bits(found, expected)
        self.assertGreater(np.mean(self.broken(found)), 0.1)

    def assert_same_attack(self, found, expected, name, norm):
        """Checks that two ways to make an attack give the same images."""
        found, expected = np.asarray(found), np.asarray(expected)
        if name.startswith("APGD") and norm == "l2":
            # Eigen adds up the squares of a norm in an order that depends on
            # the number of rows. The last bit may decide whether the step size
            # of an image is halved, and from there on its iterates part.
            parted = np.abs(found - expected).max((1, 2, 3)) > 1e-5
            self.assertLessEqual(np.sum(parted), 2)
            self.assertAllEqual(self.broken(found), self.broken(expected))
            return
        self.assert_same_bits(found, expected)

    def broken(self, adversarial):
        """Returns which images are misclassified."""
        return np.argmax(self.model(adversarial), axis=1) != self.labels

    def test_no_steps_are_made_once_all_images_are_done(self):
        pieces = self.pieces("Square", "linf")
        state = pieces.advance(self.begin(pieces), SEED, ALL)
        later = pieces.advance(state, SEED, ALL)
        self.assert_same_bits(later, state)

    def test_the_same_attack_on_a_network_has_the_same_pieces(self):
        network = CompiledNetwork(self.model, jit_compile=False)
        pieces = pieces_of(FGSM(), network)
        self.assertIs(pieces_of(FGSM(), network), pieces)
        other = CompiledNetwork(self.model, jit_compile=False)
        for arguments in (
            (FGSM(epsilon=0.5), network),
            (FGSM().lenient(), network),
            (FGSM(), other),
        ):
            self.assertIsNot(pieces_of(*arguments), pieces)

    def test_attacks_that_only_look_equal_have_pieces_of_their_own(self):
        class Marked(PGD):
            """Has something that its equality knows nothing of."""

            mark = 0

        network = CompiledNetwork(self.model, jit_compile=False)
        one, two = Marked(), Marked()
        object.__setattr__(two, "mark", 1)
        self.assertEqual(one, two)
        self.assertEqual(pieces_of(two, network).attack.mark, 1)
        self.assertIsNot(pieces_of(one, network), pieces_of(two, network))

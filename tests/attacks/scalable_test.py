"""One graph of an attack for all its sizes."""

import numpy as np
import pytest
import tensorflow as tf

from keras_sat.attacks import PGD
from keras_sat.attacks.network import CompiledNetwork
from keras_sat.attacks.pieces import Pieces
from keras_sat.attacks.pieces import pieces_of
from keras_sat.attacks.scalable import Scalable
from tests.attacks import problems
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric
SEED = np.array([1, 2], "int32")


class ScalableTest(TestCase):
    def test_each_size_gives_what_an_attack_of_that_size_gives(self):
        self.use_deterministic_ops()
        model, images, labels = problems.network()
        network = CompiledNetwork(model, jit_compile=False)
        traced = []

        class Traced(Scalable):
            def step(self, network, state, shared):
                traced.append(1)
                return super().step(network, state, shared)

        unit = PGD(epsilon=1, step_size=1, steps=1, loss="margin")
        of_any_size = Pieces(Traced(unit), network)
        batch = images[:8], labels[:8], np.arange(8, dtype="int32")
        results = []
        for epsilon, step_size, steps in (0.01, 0.003, 5), (0.05, 0.02, 9):
            attack = PGD(
                epsilon=epsilon, step_size=step_size, steps=steps, loss="margin"
            )
            factors = {
                "epsilon": np.float32(epsilon),
                "step_size": np.float32(step_size),
                "steps": np.int32(steps),
            }
            both = []
            for pieces, seed in (
                (Pieces(attack, network), SEED),
                (of_any_size, (SEED, factors)),
            ):
                state = pieces.begin(*batch, seed)
                state = pieces.advance(state, seed, np.int32(100))
                both.append(np.asarray(state.adversarial))
            self.assert_same_bits(*both)
            results.append(both[0])
        self.assertLen(traced, 1)
        distances = [np.abs(x - images[:8]).max() for x in results]
        self.assertAllClose(distances, [0.01, 0.05], atol=1e-6)
        self.assertFalse(tf.reduce_all(results[0] == results[1]))

    def test_the_graph_is_kept_for_the_next_evaluation(self):
        model = problems.Linear(3).model
        network = CompiledNetwork(model, jit_compile=False)
        first, second = (
            Scalable(PGD(epsilon=1, step_size=1, steps=1).lenient())
            for _ in range(2)
        )
        kept = pieces_of(first, network)
        self.assertIs(pieces_of(second, network), kept)
        for other in (
            Scalable(first.attack.replace(loss="margin").lenient()),
            Scalable(first.attack.replace(epsilon=1)),
            first.attack,
        ):
            self.assertIsNot(pieces_of(other, network), kept)

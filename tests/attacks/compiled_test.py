"""Compiled attacks: when they are compiled, and for whom."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_sat.attacks import FGSM
from keras_sat.attacks import PGD
from keras_sat.attacks.compiled import compiled
from tests.attacks import problems
from tests.attacks.problems import Linear
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

SEED = (1, 2)


class CompiledTest(TestCase):
    def test_with_xla_each_size_is_compiled_once(self):
        counter = problems.Counter(problems.dark_or_bright)
        run = compiled(FGSM(epsilon=0.1), counter, jit_compile=True)
        images, labels = tf.fill((24, 3), 0.45), tf.zeros(24, tf.int32)
        for count in (24, 3, 24, 3, 24):
            found = run(images[:count], labels[:count], SEED)
            self.assertAllClose(found, tf.fill((count, 3), 0.55))
        # The logits and the gradient.
        self.assertEqual(counter.sizes, [24, 24, 3, 3])

    @pytest.mark.large
    def test_a_model_is_not_kept_alive(self):
        problem = Linear(2)
        attack = problems.short_ensemble()
        attack(problem.model, problem.images[:2], problem.labels[:2])
        model = weakref.ref(problem.model)
        del problem.model
        keras.utils.clear_session()
        gc.collect()
        self.assertIsNone(model())

    def test_new_weights_are_attacked_by_what_was_compiled_before(self):
        problem = Linear(2)
        epsilon = problem.epsilons("linf")[1]
        attack = problems.short_ensemble(epsilon=epsilon)
        weights = problem.model.get_weights()
        problem.model.set_weights([100 * w for w in weights[:1]] + [weights[1]])
        attack(problem.model, problem.images, problem.labels)
        problem.model.set_weights(weights)
        adversarial = attack(problem.model, problem.images, problem.labels)
        self.assertAllEqual(
            problem.broken(adversarial), problem.distances("linf") < epsilon
        )

    @pytest.mark.large
    def test_batches_of_any_size_share_what_is_compiled(self):
        model, images, labels = problems.network()
        attack = problems.short_ensemble(epsilon=0.02)
        counter = problems.Counter(model)
        attack(counter, images, labels, SEED)
        inside = sum(size is None for size in counter.sizes)
        self.assertGreater(inside, 0)
        for count in (32, 17, 5, 1):
            attack(counter, images[:count], labels[:count], SEED)
        # Since the first batch, it has been called on concrete images alone.
        self.assertEqual(sum(n is None for n in counter.sizes), inside)

    def test_it_gives_what_the_attack_gives(self):
        # The signs of the gradients of a linear model do not hang on rounding.
        problem = Linear(2)
        attack = PGD(epsilon=0.03, loss="margin", random_start=False)
        expected = attack(problem.model, problem.images, problem.labels, SEED)
        one_hot = np.eye(2)[problem.labels]
        found = compiled(attack, problem.model)(problem.images, one_hot, SEED)
        self.assert_same_up_to_rounding(found, expected)

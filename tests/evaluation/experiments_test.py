"""The experiments of the diagnostics against closed forms."""

import numpy as np
import pytest
import tensorflow as tf

from keras_sat.attacks import PGD
from keras_sat.attacks import losses
from tests.attacks import problems
from tests.evaluation.small_experiments import experiments
from tests.evaluation.small_experiments import found
from tests.evaluation.small_experiments import linear
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


class ExperimentsTest(TestCase):
    def test_curves_are_those_of_the_closed_form(self):
        problem = problems.Linear(5)
        labels = problem.labels.copy()
        labels[:4] = (labels[:4] + 1) % 5
        epsilon = problem.epsilons("linf")[1]
        case = experiments(
            problem.model, problem.images, labels, PGD(epsilon=epsilon)
        )
        distances = problem.distances("linf")
        curve = case.accuracy_by_epsilon()
        self.assertEqual(
            list(curve), [k * epsilon for k in (0, 0.25, 0.5, 1, 2, 4)]
        )
        for radius, accuracy in curve.items():
            expected = np.mean(
                (distances > radius) & (labels == problem.labels)
            )
            self.assertAllClose(accuracy, expected, atol=1 / 40)
        self.assertEqual(list(case.accuracy_by_steps()), [1, 2, 5, 10, 20, 50])

    def test_images_are_scaled_to_another_range(self):
        model, images, labels, attack = linear()
        case = experiments(lambda x: model((x + 2) / 8), images, labels, attack)
        self.assertAllEqual(case.right_in((-2, 6)), np.ones(40, bool))
        scaled = np.argmax(model((images + 2) / 8), axis=-1) == labels
        self.assertAllEqual(case.right_in((0, 1)), scaled)
        self.assertAllEqual(case.right, scaled)

    def test_a_model_that_refuses_another_range_is_not_right_there(self):
        model, images, labels, attack = linear()

        def strict(x):
            tf.debugging.assert_less_equal(x, 1.1)
            return model(x)

        case = experiments(strict, images, labels, attack)
        self.assertAllEqual(case.right_in((0, 255)), np.zeros(40, bool))
        self.assertAllEqual(case.right_in((0, 1)), np.ones(40, bool))

    def test_a_radius_beyond_the_range_is_left_out(self):
        model, images, labels, _ = linear()
        curve = experiments(model, images, labels, PGD(epsilon=0.3))
        self.assertAllClose(
            list(curve.accuracy_by_epsilon()), [0, 0.075, 0.15, 0.3, 0.6]
        )

    @pytest.mark.large
    def test_the_model_sees_no_more_images_than_a_batch(self):
        model, images, labels, attack = linear()
        sizes = []

        def watched(x):
            note = tf.numpy_function(
                lambda x: sizes.append(len(x)) or np.int32(0), [x], tf.int32
            )
            with tf.control_dependencies([note]):
                return model(tf.identity(x))

        case = experiments(model, images, labels, attack)
        parts = experiments(
            watched,
            images,
            labels,
            attack,
            withstood=case.withstood,
            batch_size=16,
        )
        sizes.clear()
        self.assert_same_up_to_rounding(parts.outputs(), case.outputs())
        for loss in (losses.cross_entropy, losses.margin):
            self.assert_same_up_to_rounding(
                parts.gradients(loss), case.gradients(loss)
            )
        self.assertAllEqual(parts.withstands(), case.withstands())
        self.assertEqual(found(parts), {})
        self.assertEqual(max(sizes), 16)

    @pytest.mark.large
    def test_each_attack_is_traced_once_for_all_batches(self):
        model, images, labels, attack = linear()
        counter = problems.Counter(model)
        case = experiments(counter, images, labels, attack, batch_size=15)
        once = problems.Counter(model)
        other = experiments(once, images, labels, attack, batch_size=64)
        for each in (case, other):
            each.right  # noqa: B018
        counter.calls = once.calls = 0
        case.withstands(steps=100)
        other.withstands(steps=100)
        # The gradient of the margin, once for batches of any size.
        self.assertEqual((counter.calls, once.calls), (1, 1))
        case.withstands(steps=50, restarts=2)
        self.assertEqual(counter.calls, 1)

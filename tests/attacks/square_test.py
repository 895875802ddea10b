"""Square against closed forms and the schedule of the paper."""

from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.attacks import Square
from keras_sat.attacks import norms
from keras_sat.attacks.compiled import compiled
from tests.attacks import problems
from tests.attacks.problems import Linear
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

SEED = (1, 2)


class SquareTest(TestCase):
    @pytest.mark.large
    def test_breaks_nearly_all_that_can_be_broken(self):
        problem = Linear(2, shape=(8, 8, 1), batch=100)
        for epsilon in problem.epsilons("linf"):
            broken, possible = self.run_square(problem, epsilon, "linf")
            self.assertAllEqual(broken & ~possible, np.zeros(100, bool))
            self.assertGreaterEqual(broken.sum() / possible.sum(), 0.95)

    @pytest.mark.large
    def test_reaches_most_of_an_l2_ball(self):
        # Squares are not as fine as the best perturbation.
        problem = Linear(2, shape=(8, 8, 1), batch=100, smooth=True)
        distances = problem.distances("l2")
        epsilon = float(1.3 * distances.max())
        broken, possible = self.run_square(problem, epsilon, "l2")
        self.assertEqual(possible.mean(), 1)
        self.assertGreaterEqual(broken.mean(), 0.95)
        broken, possible = self.run_square(problem, epsilon / 2, "l2")
        self.assertAllEqual(broken & ~possible, np.zeros(100, bool))
        easy = distances < 0.7 * epsilon / 2
        self.assertGreater(easy.sum(), 25)
        self.assertTrue(broken[easy].all())

    def run_square(self, problem, epsilon, norm):
        """Which images are broken, and which can be by the closed form."""
        attack = Square(epsilon=epsilon, norm=norm, queries=2000)
        adversarial = compiled(attack, problem.model)(
            problem.images, problem.labels, SEED
        )
        possible = problem.distances(norm) < epsilon
        return problem.broken(adversarial), possible

    @parameterized.parameters("linf", "l2")
    def test_stays_in_the_ball_and_in_the_range(self, norm):
        model, images, labels = problems.network()
        attack = Square(epsilon=0.05, norm=norm, queries=200)
        adversarial = compiled(attack, model)(images, labels, SEED)
        self.assertEqual(adversarial.dtype, tf.float32)
        self.assertAllInRange(adversarial, 0.0, 1.0)
        sizes = attack.ball.size(adversarial - images)
        self.assertAllInRange(sizes, 0.0, 0.05 + 1e-6)

    def test_the_area_of_the_squares_follows_the_paper(self):
        starts = [11, 51, 201, 501, 1001, 2001, 4001, 6001, 8001]
        for queries in (100, 5000, 10_000):
            areas, found = Square(queries=queries).areas()
            self.assertAllClose(areas, [0.8 / 2**n for n in range(10)])
            self.assertEqual(found, starts)
            squares = norms.get("linf").squares(
                tf.zeros((1, 224, 224, 3)), areas
            )
        # With 5,000 queries it ends with an area of 0.8 / 128.
        self.assertEqual(squares.sides[sum(5000 > s for s in starts)], 18)

    @parameterized.parameters(1, 37, 3333, 5000, 10_000)
    def test_the_schedule_is_rescaled_to_the_queries_if_asked(self, queries):
        starts = Square(queries=queries, rescale_schedule=True).areas()[1]
        # As in the authors' code, a query counts as one of 10,000.
        counted = [int(i * 10_000 / queries) for i in range(queries)]
        for start, n in zip(
            starts,
            (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000),
            strict=True,
        ):
            self.assertEqual(
                [i >= start for i in range(queries)], [i > n for i in counted]
            )

    def test_the_squares_that_are_tried_have_these_areas(self):
        class Recorder:
            levels = []

            def num_draws(self):
                return 1

            def change(self, delta, radius, level, numbers):
                self.levels.append(int(level[0]))
                return delta

        attack = Square(queries=40, epsilon=1e-3, rescale_schedule=True)
        problem = Linear(2)
        recorder = Recorder()
        ball = attack.ball
        recorder.start = ball.squares(tf.zeros((1, 4, 4, 1)), [0.8]).start
        with self.patch_squares(recorder):
            attack(problem.model, problem.images, problem.labels)
        starts = attack.areas()[1]
        expected = [sum(i >= s for s in starts) for i in range(40)]
        self.assertEqual(recorder.levels, expected)
        self.assertEqual(expected[-1], 9)

    def patch_squares(self, squares):
        """A context in which the L-inf norm gives `squares`."""
        return mock.patch.object(norms.Linf, "squares", lambda *_: squares)

    def test_needs_no_gradients(self):
        problem = Linear(2)

        def model(images):
            return tf.round(200 * problem.model(images))

        epsilon = problem.epsilons("linf")[1]
        attack = Square(epsilon=2 * epsilon, queries=200)
        adversarial = compiled(attack, model)(
            problem.images, problem.labels, SEED
        )
        broken = problem.broken(adversarial)
        possible = problem.distances("linf") < epsilon
        self.assertAllEqual(possible & ~broken, np.zeros(40, bool))

    def test_predicts_once_for_each_query_and_ends_when_all_are_broken(self):
        problem = Linear(2)
        counter = problems.Counter(problem.model)
        attack = Square(epsilon=1e-4, queries=23)
        attack(counter, problem.images, problem.labels)
        self.assertEqual(counter.calls, 1 + 23)
        counter.calls = 0
        attack = attack.replace(epsilon=0.5)
        adversarial = attack(counter, problem.images, problem.labels)
        self.assertTrue(problem.broken(adversarial).all())
        self.assertLess(counter.calls, 20)

    def test_broken_images_are_not_changed_any_more(self):
        problem = Linear(2)
        epsilon = problem.epsilons("linf")[1]
        # With one schedule, the second run goes on from the first.
        results = [
            Square(epsilon=epsilon, queries=queries)(
                problem.model, problem.images, problem.labels, SEED
            )
            for queries in (20, 200)
        ]
        first = problem.broken(results[0])
        self.assertGreater(first.sum(), 3)
        self.assertAllEqual(results[0][first], results[1][first])
        self.assertAllEqual(problem.broken(results[1])[first], first[first])

    def test_the_loss_never_falls(self):
        model, images, labels = problems.network()
        attack = Square(epsilon=0.01, norm="l2", queries=30)
        value = attack.objective(labels, model(images))
        adversarial = attack(model, images, labels, SEED)
        self.assertGreater(
            tf.reduce_mean(attack.objective(labels, model(adversarial))),
            tf.reduce_mean(value),
        )

    def test_misclassified_images_are_returned_as_they_are(self):
        problem = Linear(2)
        labels = np.where(np.arange(40) < 5, 1 - problem.labels, problem.labels)
        adversarial = Square(queries=5)(problem.model, problem.images, labels)
        self.assertAllEqual(adversarial[:5], problem.images[:5])
        self.assertNotAllClose(adversarial[5:], problem.images[5:])

    @parameterized.parameters("linf", "l2")
    def test_the_same_seed_gives_the_same_images(self, norm):
        model, images, labels = problems.network()
        attack = Square(epsilon=0.02, norm=norm, queries=10)
        first = attack(model, images, labels, SEED)
        self.assertAllEqual(first, attack(model, images, labels, SEED))
        self.assertNotAllClose(first, attack(model, images, labels, (1, 3)))

    @parameterized.parameters("linf", "l2")
    def test_the_image_of_one_example_does_not_depend_on_the_others(self, norm):
        model, images, labels = problems.network()
        attack = Square(epsilon=0.03, norm=norm, queries=20)
        run = compiled(attack, problems.one_by_one(model))
        together = run(images[:8], labels[:8], SEED)
        alone = run(images[:3], labels[:3], SEED)
        self.assert_same_bits(together[:3], alone)

    def test_more_restarts_break_what_fewer_do(self):
        model, images, labels = problems.network()
        attack = Square(epsilon=0.03, queries=3)
        missed = []
        for restarts in (1, 5):
            many = attack.replace(restarts=restarts)
            adversarial = compiled(many, model)(images, labels, SEED)
            missed.append(np.argmax(model(adversarial), 1) != labels)
        self.assertAllEqual(missed[0] & ~missed[1], np.zeros(32, bool))
        self.assertGreater(missed[1].sum(), missed[0].sum())

    def test_labels_of_a_targeted_attack_are_reached(self):
        problem = Linear(3)
        targets = (problem.labels + 1) % 3
        attack = Square(epsilon=0.5, queries=200, targeted=True)
        adversarial = compiled(attack, problem.model)(
            problem.images, targets, SEED
        )
        predicted = np.argmax(problem.model(adversarial), 1)
        self.assertGreater(np.mean(predicted == targets), 0.9)

    def test_leaves_weights_and_batch_statistics_unchanged(self):
        model, images, labels = problems.network()
        before = model.get_weights()
        Square(queries=5)(model, images, labels)
        self.assert_same_bits(model.get_weights(), before)

    @parameterized.parameters("linf", "l2")
    def test_tracing_does_not_grow_with_queries_or_restarts(self, norm):
        model, images, labels = problems.network()

        def size(factor):
            attack = Square(queries=10 * factor, restarts=2 * factor, norm=norm)
            return problems.operations(attack, model, images, labels)

        self.assertEqual(size(1), size(100))

    @parameterized.parameters("linf", "l2")
    def test_memory_is_linear_in_the_batch(self, norm):
        problem = Linear(2, batch=37)
        shapes = list(
            problems.shapes(
                Square(norm=norm),
                problem.model,
                problem.images,
                problem.labels,
            )
        )
        self.assertGreater(sum(37 in shape for shape in shapes), 10)
        self.assertEqual([s for s in shapes if s.count(37) > 1], [])

    def test_compiled_with_xla_it_is_as_strong(self):
        problem = Linear(2, shape=(8, 8, 1), smooth=True)
        epsilon = problem.epsilons("l2")[1]
        attack = Square(epsilon=epsilon, norm="l2", queries=500)
        counts = [
            problem.broken(
                compiled(attack, problem.model, jit_compile)(
                    problem.images, problem.labels, SEED
                )
            ).sum()
            for jit_compile in (False, True)
        ]
        self.assertAllClose(*counts, atol=2)

    def test_images_without_height_and_width_are_refused(self):
        problem = Linear(2, shape=(16,))
        with self.assertRaisesRegex(
            ValueError,
            r"`images` must have the shape \(batch, height, width, channels\)."
            r" Received shape \(40, 16\)",
        ):
            Square()(problem.model, problem.images, problem.labels)

    def test_label_is_the_name(self):
        self.assertEqual(Square().label, "Square")

    def test_survives_saving(self):
        attack = Square(norm="l2", queries=7, p_init=0.3, rescale_schedule=True)
        config = keras.saving.serialize_keras_object(attack)
        self.assertEqual(attack, keras.saving.deserialize_keras_object(config))

    @parameterized.parameters(
        ({"epsilon": 0}, "`epsilon` must be greater than 0. .*epsilon=0"),
        ({"queries": 0}, "`queries` must be at least 1. Received: queries=0"),
        ({"p_init": 0}, "`p_init` must be greater than 0. .*p_init=0"),
        ({"p_init": 2}, r"`p_init` must lie in \[0, 1\]. Received: p_init=2"),
    )
    def test_bad_values_are_refused(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            Square(**arguments)

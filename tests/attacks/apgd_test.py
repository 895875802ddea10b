"""APGD against closed forms and its algorithm, step by step."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.attacks import APGD
from keras_sat.attacks import PGD
from keras_sat.attacks import losses
from keras_sat.attacks.compiled import compiled
from keras_sat.attacks.seeds import fold_in
from keras_sat.attacks.seeds import of_images
from tests.attacks import problems
from tests.attacks.problems import Linear
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

SEED = (1, 2)


def reference(attack, gradient, clean, start):
    """APGD for one image, as in the paper, without anything to share.

    Args:
        attack: `APGD` with the L-inf norm.
        gradient: function from an image to its loss and its gradient.
        clean: array. The clean image.
        start: array. The first iterate.

    Returns:
        The best iterate and the sizes of all steps.
    """
    x, previous, step = start, start, 2 * attack.epsilon
    value, slope = gradient(x)
    best, best_value, best_slope = x, value, slope
    values, sizes = [value], []
    checked, halved, last = value, True, 0

    def project(z):
        z = np.clip(z, clean - attack.epsilon, clean + attack.epsilon)
        return np.clip(z, 0, 1)

    for k in range(attack.steps):
        sizes.append(step)
        share = 0.75 if k else 1.0
        ahead = project(x + step * np.sign(slope))
        new = project(x + share * (ahead - x) + (1 - share) * (x - previous))
        x, previous = new, x
        value, slope = gradient(x)
        values.append(value)
        if value > best_value:
            best, best_value, best_slope = x, value, slope
        if k + 1 in attack.checkpoints():
            rises = np.diff(values[last:]) > 0
            few = rises.sum() <= attack.rho * (k + 1 - last)
            stuck = not halved and checked >= best_value
            halved, last, checked = few or stuck, k + 1, best_value
            if halved:
                step, x, slope = step / 2, best, best_slope
    return best, sizes


def first_starts(attack, images):
    """Where the first attempt of each image begins, at this seed."""
    seeds = of_images(SEED, np.arange(len(images), dtype="int32"))
    return attack.start(tf.constant(images), fold_in(seeds, 0))


class APGDTest(TestCase):
    @parameterized.product(
        norm=["linf", "l2"], loss=["cross_entropy", "margin"]
    )
    def test_two_linear_classes_are_broken_exactly_by_the_closed_form(
        self, norm, loss
    ):
        problem = Linear(2)
        for epsilon in problem.epsilons(norm)[::2]:
            attack = APGD(epsilon=epsilon, norm=norm, loss=loss, steps=20)
            adversarial = compiled(attack, problem.model)(
                problem.images, problem.labels, SEED
            )
            self.assertAllEqual(
                problem.broken(adversarial), problem.distances(norm) < epsilon
            )

    @parameterized.parameters(
        ("linf", "margin"), ("linf", "dlr"), ("l2", "dlr")
    )
    @pytest.mark.large
    def test_target_classes_find_the_weakest_of_five_linear_classes(
        self, norm, loss
    ):
        problem = Linear(5)
        for epsilon in problem.epsilons(norm)[::2]:
            attack = APGD(
                epsilon=epsilon,
                norm=norm,
                loss=loss,
                target_classes=9,
                steps=30,
            )
            adversarial = compiled(attack, problem.model)(
                problem.images, problem.labels, SEED
            )
            self.assertAllEqual(
                problem.broken(adversarial), problem.distances(norm) < epsilon
            )

    def test_checkpoints_are_those_of_the_paper(self):
        self.assertEqual(
            APGD(steps=100).checkpoints(), [22, 41, 57, 70, 80, 87, 93, 99]
        )

    # With a small `rho`, it is the other condition that halves the steps.
    @parameterized.parameters(0.75, 0.2)
    def test_follows_the_algorithm_of_the_paper_step_by_step(self, rho):
        # A rugged loss of 3 pixels: steps have to be halved to climb it.
        centre = np.array([0.47, 0.52, 0.56], "float32")

        def height(x):
            away = x - centre
            return tf.reduce_sum(tf.cos(25 * away) - 9 * away**2, -1)

        def model(x):
            return tf.stack([0 * x[:, 0], height(x) - 1e3], -1)

        images = np.random.default_rng(0).uniform(0.3, 0.7, (6, 3))
        images = images.astype("float32")
        attack = APGD(
            epsilon=0.2,
            rho=rho,
            loss=lambda labels, logits: logits[:, 1] + 1e3,
        )
        adversarial = attack(model, images, np.zeros(6, "int32"), SEED)
        starts = first_starts(attack, images)

        def gradient(x):
            x = tf.constant(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = height(x) - 1e3 + 1e3
            return float(value), tape.gradient(value, x).numpy()

        halvings = []
        for i in range(6):
            best, sizes = reference(
                attack, gradient, images[i], starts[i].numpy()
            )
            self.assertAllClose(adversarial[i], best, atol=2e-3)
            halvings.append(np.log2(sizes[0] / sizes[-1]))
        self.assertGreaterEqual(min(halvings), 1 if rho < 0.75 else 3)

    @parameterized.product(norm=["linf", "l2"], classes=[None, 2])
    def test_stays_in_the_ball_and_in_the_range(self, norm, classes):
        model, images, labels = problems.network()
        attack = APGD(
            epsilon=0.2, norm=norm, steps=10, loss="dlr", target_classes=classes
        )
        adversarial = attack(model, images, labels)
        self.assertEqual(adversarial.dtype, tf.float32)
        self.assertAllInRange(adversarial, 0.0, 1.0)
        sizes = attack.ball.size(adversarial - images)
        self.assertAllInRange(sizes, 0.0, 0.2 + 1e-6)

    @parameterized.parameters("linf", "l2")
    def test_epsilon_is_a_fraction_of_any_value_range(self, norm):
        problem, wide = Linear(3), Linear(3, value_range=(-100.0, 155.0))
        attack = APGD(epsilon=0.02, norm=norm, steps=10)
        expected = attack(problem.model, problem.images, problem.labels, SEED)
        attack = attack.replace(value_range=(-100.0, 155.0))
        adversarial = attack(wide.model, wide.images, wide.labels, SEED)
        # Of two iterates whose losses differ by rounding, either is the best.
        self.assert_same_up_to_rounding(
            losses.cross_entropy(wide.labels, wide.model(adversarial)),
            losses.cross_entropy(problem.labels, problem.model(expected)),
            roundings=10 * 32,
        )

    def test_the_start_lies_on_the_border_of_the_ball(self):
        images = tf.fill((5, 4, 4, 1), 0.5)
        for norm in ("linf", "l2"):
            attack = APGD(epsilon=0.3, norm=norm)
            start = attack.start(images, SEED)
            self.assertAllClose(
                attack.ball.size(start - images), tf.fill((5, 1, 1, 1), 0.3)
            )
            self.assertNotAllClose(start[0], start[1])

    def test_the_same_seed_gives_the_same_images(self):
        model, images, labels = problems.network()
        attack = APGD(epsilon=0.02, steps=5)
        first = attack(model, images, labels, SEED)
        self.assertAllEqual(first, attack(model, images, labels, SEED))
        self.assertNotAllClose(first, attack(model, images, labels, (1, 3)))

    def test_leaves_weights_and_batch_statistics_unchanged(self):
        model, images, labels = problems.network()
        before = model.get_weights()
        APGD(steps=5, loss="dlr", target_classes=2)(model, images, labels)
        self.assert_same_bits(model.get_weights(), before)

    def test_misclassified_images_are_returned_as_they_are(self):
        model, images, labels = problems.network()
        labels = np.where(np.arange(32) < 5, (labels + 1) % 5, labels)
        attack = APGD(epsilon=0.1, steps=5)
        adversarial = attack(model, images, labels)
        self.assertAllEqual(adversarial[:5], images[:5])
        moved = attack.ball.size(adversarial - images)[5:]
        self.assertAllGreater(moved, 0.0)

    @pytest.mark.large
    def test_the_image_of_one_example_does_not_depend_on_the_others(self):
        model, images, labels = problems.network()
        for norm, epsilon in (("linf", 0.06), ("l2", 0.4)):
            attack = APGD(epsilon=epsilon, norm=norm, steps=20)
            run = compiled(attack, problems.one_by_one(model))
            together = run(images[:8], labels[:8], SEED)
            alone = run(images[:3], labels[:3], SEED)
            # The size of a perturbation is a sum, too.
            self.assert_same_up_to_rounding(
                together[:3], alone, roundings=20 * 10
            )

    def test_the_first_misclassified_iterate_is_kept(self):
        # The loss is highest at 0, where the image is classified right.
        def model(images):
            x = tf.reduce_sum(images, 1)
            return tf.stack([tf.zeros_like(x), x - 0.5], 1)

        def loss(labels, logits):
            return -logits[:, 1]

        attack = APGD(epsilon=0.4, steps=10, loss=loss)
        images = np.full((16, 1), 0.4, "float32")
        labels = np.zeros(16, "int32")
        starts = first_starts(attack, images)
        adversarial = attack(model, images, labels, SEED)
        self.assertNotEmpty(starts[starts > 0.5])
        self.assertAllEqual(adversarial > 0.5, starts > 0.5)
        # One start on each side is tried sooner or later.
        many = attack.replace(restarts=20)(model, images, labels, SEED)
        self.assertAllGreater(many, 0.5)

    def test_what_is_not_broken_is_the_iterate_of_the_highest_loss(self):
        model, images, labels = problems.network()
        attack = APGD(epsilon=0.01, steps=30)
        seen = []

        def watched(x):
            logits = model(x, training=False)
            seen.append(losses.cross_entropy(labels, logits))
            return logits

        adversarial = attack(watched, images, labels, SEED)
        unbroken = np.argmax(model(adversarial), 1) == labels
        self.assertGreater(unbroken.sum(), 5)
        value = losses.cross_entropy(labels, model(adversarial))
        highest = tf.reduce_max(tf.stack(seen[1:]), axis=0)
        self.assert_same_bits(value[unbroken], highest[unbroken])

    @parameterized.parameters(None, 2)
    @pytest.mark.large
    def test_more_restarts_break_what_fewer_do(self, classes):
        model, images, labels = problems.network()
        attack = APGD(epsilon=0.05, steps=1, loss="dlr", target_classes=classes)
        missed = []
        for restarts in (1, 6):
            many = attack.replace(restarts=restarts)
            adversarial = compiled(many, model)(images, labels, SEED)
            missed.append(np.argmax(model(adversarial), 1) != labels)
        if classes is None:
            self.assertAllEqual(missed[0] & ~missed[1], np.zeros(32, bool))
        self.assertGreater(missed[1].sum(), missed[0].sum())

    @pytest.mark.large
    def test_is_stronger_than_pgd_of_as_many_steps(self):
        model, images, labels = problems.network()
        # Logits so large that the cross-entropy has no gradient in float32.
        masked = keras.Model(model.inputs, 1e3 * model.outputs[0])
        pgd = PGD(epsilon=0.03, step_size=0.006, steps=50)
        attack = APGD(epsilon=0.03, steps=50, loss="dlr")

        def accuracy(attack, model):
            adversarial = compiled(attack, model)(images, labels, SEED)
            return problems.robust_accuracy(model, adversarial, labels)

        self.assertLessEqual(accuracy(attack, model), accuracy(pgd, model))
        self.assertLess(accuracy(attack, masked), accuracy(pgd, masked) - 0.3)
        self.assertEqual(accuracy(attack, masked), accuracy(attack, model))

    @parameterized.parameters("linf", "l2")
    def test_flat_or_broken_gradients_give_no_nan(self, norm):
        def flat(images):
            x = tf.reduce_sum(images, [1, 2, 3])
            return tf.stack([0 * x + 1, 0 * x, 0 * x, 0 * x], 1)

        def nan(images):
            away = tf.sqrt(tf.maximum(images - 0.5, 0))
            return flat(images) + 0.1 * tf.reduce_sum(away, [1, 2])

        images = np.random.default_rng(0).uniform(0, 1, (4, 3, 3, 4))
        images = images.astype("float32")
        labels = np.zeros(4, "int32")
        for model in (flat, nan):
            for classes in (None, 2):
                attack = APGD(
                    norm=norm, steps=8, loss="dlr", target_classes=classes
                )
                adversarial = attack(model, images, labels)
                self.assertAllInRange(adversarial, 0.0, 1.0)

    def test_tiny_gradients_do_not_shorten_an_l2_step(self):
        problem = Linear(2, scale=1e-12)
        epsilon = problem.epsilons("l2")[1]
        attack = APGD(epsilon=epsilon, norm="l2", steps=20)
        adversarial = attack(
            lambda x: tf.cast(problem.model(x), tf.float32),
            problem.images,
            problem.labels,
        )
        self.assertAllEqual(
            problem.broken(adversarial), problem.distances("l2") < epsilon
        )

    def test_averaged_gradients_climb_through_random_predictions(self):
        problem = Linear(2, shape=(8, 8, 1))
        weights = (problem.weights @ [-1, 1]).astype("float32")
        generator = tf.random.Generator.from_seed(0)

        # Far from misclassified, so that the ascent goes on to its end.
        def noisy(images):
            noise = generator.normal((64,), stddev=8.0)
            flat = tf.reshape(images - 0.5, (-1, 64))
            value = tf.linalg.matvec(flat, weights + noise)
            return tf.stack([0 * value + 50, value], 1)

        def rise(count):
            attack = APGD(
                epsilon=0.1,
                steps=20,
                loss=lambda labels, logits: logits[:, 1],
                expectation_steps=count,
            )
            labels = tf.zeros(40, tf.int32)
            adversarial = compiled(attack, noisy)(problem.images, labels, SEED)
            delta = tf.reshape(adversarial - problem.images, (-1, 64))
            return tf.reduce_mean(tf.linalg.matvec(delta, weights))

        most = 0.1 * np.abs(weights).sum()
        self.assertLess(rise(1), 0.5 * most)
        self.assertGreater(rise(20), 0.6 * most)

    def test_averaging_equal_predictions_changes_nothing(self):
        model, images, labels = problems.network()
        attack = APGD(epsilon=0.03, steps=5)
        once = attack(model, images, labels, SEED)
        attack = attack.replace(expectation_steps=4)
        self.assert_same_bits(attack(model, images, labels, SEED), once)

    def test_predicts_once_for_each_step_and_ends_when_all_are_broken(self):
        model, images, labels = problems.network()
        counter = problems.Counter(model)
        APGD(epsilon=1e-4, steps=7)(counter, images, labels)
        # Once for the clean images, and once for the start.
        self.assertEqual(counter.calls, 9)
        counter.calls = 0
        adversarial = APGD(epsilon=0.9)(counter, images, labels)
        self.assertEqual(
            problems.robust_accuracy(model, adversarial, labels), 0
        )
        self.assertLess(counter.calls, 40)

    def test_tracing_does_not_grow_with_steps_restarts_or_classes(self):
        model, images, labels = problems.network()

        def size(factor):
            attack = APGD(
                steps=10 * factor,
                restarts=2 * factor,
                expectation_steps=2 * factor,
                loss="dlr",
                target_classes=1 + factor,
            )
            return problems.operations(attack, model, images, labels)

        self.assertEqual(size(1), size(3))

    def test_memory_is_linear_in_the_batch(self):
        problem = Linear(5, batch=37)
        attack = APGD(loss="dlr", target_classes=2)
        shapes = list(
            problems.shapes(
                attack, problem.model, problem.images, problem.labels
            )
        )
        self.assertGreater(sum(37 in shape for shape in shapes), 20)
        self.assertEqual([s for s in shapes if s.count(37) > 1], [])

    def test_compiled_with_xla_it_is_as_strong(self):
        problem = Linear(4)
        epsilon = problem.epsilons("l2")[1]
        attack = APGD(
            epsilon=epsilon, norm="l2", loss="dlr", target_classes=3, steps=30
        )
        run = compiled(attack, problem.model, jit_compile=True)
        adversarial = run(problem.images, problem.labels, SEED)
        self.assertAllEqual(
            problem.broken(adversarial), problem.distances("l2") < epsilon
        )

    def test_labels_of_a_targeted_attack_are_reached(self):
        model, images, labels = problems.network()
        targets = (labels + 1) % 5
        attack = APGD(epsilon=0.9, targeted=True)
        adversarial = compiled(attack, model)(images, targets, SEED)
        hits = np.mean(np.argmax(model(adversarial), 1) == targets)
        self.assertGreater(hits, 0.9)

    def test_one_hot_labels_give_the_attack_of_class_ids(self):
        model, images, labels = problems.network()
        one_hot = keras.ops.one_hot(labels, 5)
        for classes in (None, 2):
            attack = APGD(steps=3, loss="dlr", target_classes=classes)
            self.assert_same_bits(
                attack(model, images, labels, SEED),
                attack(model, images, one_hot, SEED),
            )

    def test_dlr_losses_refuse_too_few_classes(self):
        for count, classes, least in ((2, None, 3), (3, 2, 4)):
            problem = Linear(count)
            attack = APGD(loss="dlr", target_classes=classes)
            with self.assertRaisesRegex(
                ValueError,
                f"`num_classes` must be at least {least} .*Received.*{count}",
            ):
                attack(problem.model, problem.images, problem.labels)

    @parameterized.parameters(
        (10, "dlr", 9), (4, "dlr", 3), (3, "dlr", None), (2, "margin", None)
    )
    def test_few_classes_choose_loss_and_targets(self, count, loss, classes):
        attack = APGD(loss="dlr", target_classes=9).for_classes(count)
        self.assertEqual(attack.loss, loss)
        self.assertEqual(attack.target_classes, classes)
        problem = Linear(count)
        attack.replace(steps=2)(problem.model, problem.images, problem.labels)

    @parameterized.parameters(
        ({}, "APGD-CE"),
        ({"loss": "dlr"}, "APGD-DLR"),
        ({"loss": "margin"}, "APGD-margin"),
        ({"loss": losses.cross_entropy}, "APGD-CE"),
        ({"loss": "dlr", "target_classes": 9}, "APGD-T"),
        ({"target_classes": 9}, "APGD-T-CE"),
    )
    def test_label_names_the_loss(self, arguments, label):
        self.assertEqual(APGD(**arguments).label, label)

    def test_survives_saving(self):
        attack = APGD(norm="l2", loss="dlr", target_classes=3, rho=0.5)
        config = keras.saving.serialize_keras_object(attack)
        self.assertEqual(attack, keras.saving.deserialize_keras_object(config))

    @parameterized.parameters(
        ({"epsilon": 0}, "`epsilon` must be greater than 0. .*epsilon=0"),
        ({"steps": 0}, "`steps` must be at least 1. Received: steps=0"),
        ({"rho": 2}, r"`rho` must lie in \[0, 1\]. Received: rho=2"),
        ({"expectation_steps": 0}, "`expectation_steps` must be at least 1"),
        ({"target_classes": 0}, "`target_classes` must be at least 1"),
        ({"target_classes": 2, "targeted": True}, "`target_classes` must be N"),
        ({"target_classes": 2, "loss": losses.dlr}, "`loss` must be one of"),
    )
    def test_bad_values_are_refused(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            APGD(**arguments)

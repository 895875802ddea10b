"""PGD against closed forms and the official attacker."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.attacks import losses
from keras_sat.models import load_official_checkpoint
from keras_sat.models import residual_network
from keras_sat.predictions.inference import inference
from tests.attacks import problems
from tests.test_case import FIXTURES
from tests.test_case import PASS
from tests.test_case import ROUNDING
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


def linear_model(dimension=12, value_range=(0.0, 1.0)):
    """Two classes, `logits[1] - logits[0] = w x + b` on [0, 1] images."""
    generator = np.random.default_rng(0)
    w = generator.normal(size=dimension).astype("float32")
    low, high = value_range
    images = keras.Input((dimension,))
    scaled = keras.layers.Rescaling(1 / (high - low), -low / (high - low))
    dense = keras.layers.Dense(2)
    model = keras.Model(images, dense(scaled(images)))
    dense.set_weights([np.stack([-w / 2, w / 2], 1), np.zeros(2)])
    x = generator.uniform(0.3, 0.7, (32, dimension)).astype("float32")
    return model, low + x * (high - low), w


def right_margin(model, images, labels):
    return -losses.margin(labels, model(images))


class PGDTest(TestCase):
    @parameterized.product(norm=["linf", "l2"], steps=[1, 10])
    def test_raises_the_loss_inside_the_ball(self, norm, steps):
        model, images, labels = self.tiny_classifier()
        attack = keras_sat.PGD(
            epsilon=0.1, step_size=0.05, steps=steps, norm=norm
        )
        adversarial = attack(model, images, labels)
        self.assertAllInRange(adversarial, 0.0, 1.0)
        sizes = attack.ball.size(adversarial - images)
        self.assertAllInRange(sizes, 0.0, 0.1 + 1e-6)
        clean = losses.cross_entropy(labels, model(images))
        robust = losses.cross_entropy(labels, model(adversarial))
        self.assertGreater(tf.reduce_mean(robust), tf.reduce_mean(clean))

    @parameterized.product(
        norm=["linf", "l2"], loss=["cross_entropy", "margin"]
    )
    def test_reaches_the_closed_form_on_a_linear_model(self, norm, loss):
        model, images, w = linear_model()
        labels = tf.argmax(model(images), -1, tf.int32)
        attack = keras_sat.PGD(
            epsilon=0.2, step_size=0.1, steps=20, norm=norm, loss=loss
        )
        adversarial = attack(model, images, labels)
        fall = np.linalg.norm(w, 1 if norm == "linf" else 2) * 0.2
        # 12 products, after 20 steps.
        self.assert_same_up_to_rounding(
            right_margin(model, adversarial, labels),
            right_margin(model, images, labels) - fall,
            roundings=20 * 24,
        )

    @parameterized.parameters((0.0, 255.0), (-1.0, 1.0))
    def test_epsilon_is_a_fraction_of_any_value_range(self, *value_range):
        attack = keras_sat.PGD(epsilon=8 / 255, step_size=2 / 255, steps=3)
        reference, images, _ = linear_model()
        labels = tf.argmax(reference(images), -1, tf.int32)
        expected = attack(reference, images, labels, seed=(1, 2))
        model, images, _ = linear_model(value_range=value_range)
        attack = attack.replace(value_range=value_range)
        adversarial = attack(model, images, labels, seed=(1, 2))
        low, high = value_range
        self.assert_same_up_to_rounding(
            (adversarial - low) / (high - low), expected, roundings=3 * 10
        )

    def test_a_targeted_attack_approaches_the_target(self):
        model, images, labels = self.tiny_classifier()
        targets = (labels + 1) % 5
        attack = keras_sat.PGD(epsilon=0.3, step_size=0.05, targeted=True)
        adversarial = attack(model, images, targets)
        before = losses.cross_entropy(targets, model(images))
        after = losses.cross_entropy(targets, model(adversarial))
        self.assertAllLess(after - before, 0.0)

    def test_fgsm_is_one_step_along_the_sign_of_the_gradient(self):
        model, images, labels = self.tiny_classifier()
        images = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = losses.cross_entropy(labels, model(images, training=False))
        gradient = tape.gradient(loss, images)
        expected = tf.clip_by_value(images + 0.1 * tf.sign(gradient), 0, 1)
        adversarial = keras_sat.FGSM(epsilon=0.1)(model, images, labels)
        # Next to 0, rounding decides on the sign.
        size = np.abs(gradient)
        clear = size > 2 * PASS * ROUNDING["float32"] * size.max()
        self.assertGreater(clear.mean(), 0.95)
        self.assertAllEqual(adversarial[clear], expected[clear])

    def test_the_image_of_one_example_does_not_depend_on_the_others(self):
        model, images, labels = self.tiny_classifier()
        model = problems.one_by_one(model)
        attack = keras_sat.PGD(epsilon=0.1, random_start=False)
        together = attack(model, images[:4], labels[:4])
        alone = attack(model, images[:1], labels[:1])
        self.assert_same_bits(together[:1], alone)

    def test_steps_too_small_for_the_ball_do_not_reach_its_border(self):
        model, images, labels = self.tiny_classifier()
        attack = keras_sat.PGD(
            epsilon=0.3, step_size=0.01, steps=3, random_start=False
        )
        size = attack.ball.size(attack(model, images, labels) - images)
        self.assertAllLessEqual(size, 0.03 + 1e-6)

    def test_the_best_iterate_is_that_of_the_highest_loss(self):
        # The loss is highest at 0.5: one more step leads past it.
        def model(images):
            return tf.concat([tf.square(images - 0.5), 0 * images], -1)

        images = np.array([[0.455], [0.475], [0.496], [0.7]], "float32")
        labels = np.zeros(4, "int32")
        attack = keras_sat.PGD(
            epsilon=0.05, step_size=0.02, steps=3, random_start=False
        )
        last = attack(model, images, labels)[:, 0]
        # From one side to the other, and at 0.7 to the border of the ball.
        expected = [0.505, 0.495, 0.516, 0.65]
        self.assertAllClose(last, expected, atol=1e-6)
        best = attack.replace(best_iterate=True)(model, images, labels)[:, 0]
        expected = [0.495, 0.495, 0.496, 0.65]
        self.assertAllClose(best, expected, atol=1e-6)

    @parameterized.parameters("linf", "l2")
    def test_the_best_iterate_stays_in_the_ball_and_the_range(self, norm):
        model, images, labels = self.tiny_classifier()
        images = np.round(images).astype("float32")
        attack = keras_sat.PGD(epsilon=0.3, step_size=1e-6, steps=1, norm=norm)
        # The random start, which leaves the range, may be the best.
        best = attack.replace(best_iterate=True)
        adversarial = best(model, images, labels, seed=[1, 2])
        self.assertAllInRange(adversarial, 0.0, 1.0)
        sizes = attack.ball.size(adversarial - images)
        self.assertAllInRange(sizes, 0.0, 0.3 + 1e-6)
        last = attack(model, images, labels, seed=[1, 2])
        losses_of = [
            losses.cross_entropy(labels, model(x)) for x in (adversarial, last)
        ]
        self.assertAllGreaterEqual(losses_of[0] - losses_of[1], -1e-6)

    def test_starts_from_the_clean_batch_as_often_as_asked(self):
        images = tf.fill((4, 2, 2, 1), 0.5)
        attack = keras_sat.PGD(epsilon=0.1, clean_start_probability=0.2)
        starts = [attack.start(images, (i, 0)) - images for i in range(2000)]
        clean = [float(tf.reduce_max(tf.abs(s))) == 0 for s in starts]
        # One draw for a batch: either every image starts clean or none.
        self.assertAllClose(np.mean(clean), 0.2, atol=0.03)

    def test_tracing_does_not_grow_with_the_steps(self):
        model, images, labels = self.tiny_classifier()

        def operations(attack):
            graph = tf.function(
                lambda x, y: attack(model, x, y)
            ).get_concrete_function(images, labels)
            definition = graph.graph.as_graph_def()
            return len(definition.node) + sum(
                len(f.node_def) for f in definition.library.function
            )

        few = keras_sat.PGD(steps=2, restarts=2)
        many = keras_sat.PGD(steps=200, restarts=20)
        self.assertEqual(operations(few), operations(many))

    def test_compiled_with_xla_it_gives_the_same_loss(self):
        model, images, labels = self.tiny_classifier()
        attack = keras_sat.PGD(epsilon=0.1, step_size=0.02, restarts=2)

        # XLA draws other noise, and signs of tiny gradients differ.
        def loss(attack):
            adversarial = attack(images, labels)
            values = losses.cross_entropy(labels, model(adversarial))
            return tf.reduce_mean(values)

        def run(images, labels):
            return attack(model, images, labels, (1, 2))

        clean = loss(lambda images, labels: images)
        plain = loss(run)
        compiled = loss(tf.function(run, jit_compile=True))
        self.assertGreater(plain, 1.5 * clean)
        self.assertAllClose(plain, compiled, rtol=5e-3)

    def test_survives_saving(self):
        attack = keras_sat.PGD(
            epsilon=0.1, norm="l2", value_range=(0, 255), loss="margin"
        )
        config = keras.saving.serialize_keras_object(attack)
        self.assertEqual(attack, keras.saving.deserialize_keras_object(config))

    @parameterized.parameters(
        ("epsilon", -1, "`epsilon` must be greater than 0. .*epsilon=-1"),
        ("epsilon", 0, "`epsilon` must be greater than 0. .*epsilon=0"),
        ("epsilon", 8, "`epsilon` must be at most 1.*Did you mean 8 / 255"),
        ("epsilon", float("nan"), "`epsilon` must be finite. .*nan"),
        ("steps", 0, "`steps` must be at least 1. Received: steps=0"),
        ("step_size", 0, "`step_size` must be greater than 0. .*step_size=0"),
        ("restarts", 0, "`restarts` must be at least 1. Received: restarts=0"),
        ("norm", "l1", "`norm` must be one of .*Received: norm='l1'"),
        ("loss", "ce", "`loss` must be one of .*Received: loss='ce'"),
        ("clean_start_probability", 2, "must lie in .*probability=2"),
        ("value_range", (1, 0), "`value_range` must be a pair .*(1, 0)"),
    )
    def test_bad_values_are_refused(self, name, value, message):
        with self.assertRaisesRegex(ValueError, message):
            keras_sat.PGD(**{name: value})


class OfficialAttackTest(TestCase):
    """Against what the official attacker made of the same weights."""

    def setUp(self):
        super().setUp()
        self.fixture = np.load(FIXTURES / "pgd_resnet_tiny_silu_64.npz")
        recorded = np.load(FIXTURES / "resnet_tiny_silu_64.npz")
        self.images = recorded["images_uint8"].astype("float32") / 255
        self.labels = recorded["labels"]
        self.model = residual_network(
            [1, 2, 1, 1], [4, 8, 16, 32], "silu", input_shape=(64, 64, 3)
        )
        load_official_checkpoint(
            self.model,
            str(FIXTURES / "ckpt/resnet-tiny-silu/model.ckpt"),
            reverse_channels=False,
        )

    def check(self, adversarial, name):
        # Theirs are in [-1, 1]. Signs of gradients next to 0 may differ.
        expected = (self.fixture[name] + 1) / 2
        moved = np.abs(adversarial - expected) > 1e-6
        self.assertLess(np.sum(moved), 20)
        self.assertAllClose(
            losses.cross_entropy(self.labels, self.model(adversarial)),
            self.fixture[f"ce_at_{name}"],
            atol=1e-3,
        )

    @parameterized.parameters(1, 2, 3)
    def test_every_iterate_from_the_clean_images_is_theirs(self, steps):
        attack = keras_sat.PGD(
            epsilon=4 / 255,
            step_size=4 / 3 / 255,
            steps=steps,
            random_start=False,
        )
        adversarial = attack(self.model, self.images, self.labels)
        self.check(adversarial, f"adv{steps}")

    def test_from_their_noise_the_result_is_theirs(self):
        attack = keras_sat.PGD(epsilon=4 / 255, step_size=4 / 3 / 255, steps=3)
        noise = self.fixture["rand_noise"] / 2
        adversarial = attack.ascend(
            inference(self.model),
            tf.constant(self.images),
            self.labels,
            tf.constant(self.images + noise),
        )
        self.check(adversarial, "rand_adv3")

    def test_fgsm_is_theirs(self):
        attack = keras_sat.FGSM(epsilon=4 / 255)
        self.check(attack(self.model, self.images, self.labels), "fgsm")

    def test_their_noise_fills_the_ball_of_the_same_size(self):
        noise = self.fixture["rand_noise"] / 2
        ours = keras_sat.PGD().start(tf.zeros(noise.shape), (1, 2))
        self.assertAllClose(np.std(ours), np.std(noise), rtol=0.02)
        self.assertAllInRange(ours, -4 / 255, 4 / 255)

"""Tests of objectives that change another one, against NumPy."""

from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.attacks import norms
from tests.test_case import TestCase
from tests.training.linear import Linear
from tests.training.linear import unit
from tests.training.problems import EVEN
from tests.training.problems import dataset

pytestmark = pytest.mark.numeric

# Of a linear classifier: 2 * 6 for a product, forward, back, and some more.
FEW = 100
WRAPPED = (
    keras_sat.AWP(objective=keras_sat.TRADES(beta=2.0), gamma=0.1),
    keras_sat.GradAlign(coefficient=0.5),
    keras_sat.FreeTraining(replays=2),
)
ALL_OF_THEM = keras_sat.AWP(
    objective=keras_sat.FreeTraining(
        objective=keras_sat.GradAlign(objective=keras_sat.MART()), replays=2
    )
)


class FromASide(keras_sat.PGD):
    """Starts off the clean images, where the gradient of TRADES is zero."""

    def start(self, images, seed):
        return images + 0.02 * tf.sign(images - 0.5)


# Without noise, and without signs that rounding could change.
ASIDE = FromASide(norm="l2", epsilon=0.3, step_size=0.2, steps=2)


def fixed_noise(self, images, radius, seed):
    """Noise that depends on the images alone, in place of `L2.random`."""
    del self, seed
    return radius * tf.sin(50 * images)


def stateful(dropout=0.3):
    """A network with statistics, noise and losses of its own."""
    keras.utils.set_random_seed(0)
    x = keras.Input((6,))
    h = keras.layers.Dense(8, activation="silu")(x)
    h = keras.layers.BatchNormalization(momentum=0.9)(h)
    h = keras.layers.Dropout(dropout)(h)
    h = keras.layers.ActivityRegularization(0.0, 1e-3)(h)
    return keras.Model(x, keras.layers.Dense(4)(h))


def data(count=32):
    """Returns images, labels and weights."""
    generator = np.random.default_rng(1)
    images = generator.uniform(size=(count, 6)).astype("float32")
    weights = generator.uniform(size=count).astype("float32")
    return images, np.arange(count) % 4, weights


def trained(
    objective,
    network=None,
    attack=None,
    optimizer=None,
    fit=None,
    **options,
):
    """Returns a model after one epoch of four batches."""
    network = network or stateful()
    model = keras_sat.SATModel(
        network,
        attack=attack or keras_sat.PGD(steps=2, epsilon=0.1, step_size=0.1),
        objective=objective,
    )
    keras.utils.set_random_seed(2)
    model.seeds.state.assign([3, 4])
    optimizer = optimizer or keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, weight_decay=1e-2, jit_compile=False, **options)
    images, labels, weights = data()
    fit = fit or {"sample_weight": weights}
    model.fit(images, labels, 8, shuffle=False, verbose=0, **fit)
    return model


class FormulasTest(TestCase):
    """Loss and gradient of each, on a linear classifier."""

    def setUp(self):
        super().setUp()
        self.linear = Linear()

    def descended(self, objective, weights=None, attack=EVEN):
        """Returns loss and gradient of an update, and the next images."""
        model = keras_sat.SATModel(
            self.linear.network(), attack=attack, objective=objective
        )
        model.compile("sgd")
        loss, _, (gradient,), again = model.descend(
            self.linear.images,
            tf.constant(self.linear.adversarial),
            self.linear.labels,
            weights,
        )
        return loss, gradient, again

    @parameterized.parameters(False, True)
    def test_awp_takes_the_gradient_at_perturbed_kernels(self, weighted):
        x, kernel = self.linear.adversarial, self.linear.kernel
        weights = self.linear.weights if weighted else None
        _, g = self.linear.cross_entropy(x)
        g = self.linear.in_kernel((x, g), weights=weights)
        length = np.linalg.norm(kernel) / np.linalg.norm(g)
        losses, there = self.linear.cross_entropy(x, kernel + 0.3 * length * g)
        expected = (
            self.linear.mean(losses, weights),
            self.linear.in_kernel((x, there), weights=weights),
        )
        found = self.descended(keras_sat.AWP(gamma=0.3), weights)[:2]
        self.assert_same_up_to_rounding(found, expected, FEW)
        # It is worse there than here.
        plain = self.descended(keras_sat.AdversarialTraining(), weights)
        self.assertGreater(found[0], plain[0] + 0.1)

    @parameterized.parameters(False, True)
    def test_grad_align_adds_one_minus_the_cosine(self, weighted):
        x, kernel = self.linear.images, self.linear.kernel
        weights = self.linear.weights if weighted else None
        noise = 0.5 * np.sin(50 * x)

        def total(kernel):
            here, near = (
                unit(
                    (self.linear.probabilities(y, kernel) - self.linear.hard)
                    @ kernel.T
                )
                for y in (x, x + noise)
            )
            losses, _ = self.linear.cross_entropy(
                self.linear.adversarial, kernel
            )
            penalties = 1 - np.sum(here * near, 1)
            return self.linear.mean(losses + 3 * penalties, weights)

        gradient = np.zeros_like(kernel)
        for place in np.ndindex(*kernel.shape):
            step = np.zeros_like(kernel)
            step[place] = 1e-5
            difference = total(kernel + step) - total(kernel - step)
            gradient[place] = difference / 2e-5
        with mock.patch.object(norms.L2, "random", fixed_noise):
            found = self.descended(
                keras_sat.GradAlign(coefficient=3.0), weights
            )[:2]
        self.assert_same_up_to_rounding(
            found, (total(kernel), gradient), 4 * FEW
        )
        plain = self.descended(keras_sat.AdversarialTraining(), weights)
        self.assertNotAllClose(found[1], plain[1], atol=1e-2)

    def test_an_image_without_a_gradient_has_no_penalty(self):
        # Equal logits, with labels that prefer no class.
        network = self.linear.network()
        network.set_weights([0 * self.linear.kernel])
        even = tf.ones_like(self.linear.hard, tf.float32) / 4
        model = keras_sat.SATModel(network, attack=EVEN)
        model.compile("sgd")
        results = []
        for objective in keras_sat.AdversarialTraining(), keras_sat.GradAlign():
            model.objective = objective
            images = map(
                tf.constant, (self.linear.images, self.linear.adversarial)
            )
            results.append(model.descend(*images, even, None)[:3])
        self.assert_same_bits(*results)

    @parameterized.parameters("linf", "l2")
    def test_free_training_moves_images_by_the_gradient_of_the_update(
        self, norm
    ):
        x, clean = self.linear.adversarial, self.linear.images
        _, g = self.linear.cross_entropy(x)
        in_images = g @ self.linear.kernel.T
        direction = np.sign(in_images) if norm == "linf" else unit(in_images)
        delta = x + 0.8 * 0.2 * direction - clean
        size = np.linalg.norm(delta, axis=1, keepdims=True)
        projected = {
            "linf": np.clip(delta, -0.2, 0.2),
            "l2": delta * np.minimum(1, 0.2 / size),
        }[norm]
        expected = np.clip(clean + projected, 0, 1)
        attack = keras_sat.PGD(epsilon=0.2, norm=norm)
        objective = keras_sat.FreeTraining(replays=2, step_size=0.8)
        found = self.descended(objective, attack=attack)[2]
        self.assert_same_up_to_rounding(found, expected, FEW)

    def test_free_training_makes_an_update_with_each_of_the_images(self):
        linear, rate = self.linear, 0.5
        _, kernel, clean = 0, linear.kernel, linear.images.astype("float64")
        # The attack, without noise, as `EVEN` makes it: the whole radius.
        adversarial = clean
        for replay in range(4):
            targets = linear.hard if replay == 0 else linear.soft
            # The attack raises the loss without smoothing, an update with it.
            p = linear.probabilities(adversarial, kernel)
            step = 0.5 * unit((p - targets) @ kernel.T)
            if replay:
                gradient = linear.in_kernel((adversarial, p - linear.soft))
                kernel = kernel - rate * gradient
            delta = adversarial + step - clean
            size = np.linalg.norm(delta, axis=1, keepdims=True)
            delta *= np.minimum(1, 0.5 / size)
            adversarial = np.clip(clean + delta, 0, 1)
        model = keras_sat.SATModel(
            linear.network(),
            attack=EVEN,
            objective=keras_sat.FreeTraining(replays=3),
        )
        model.compile(keras.optimizers.SGD(rate), jit_compile=False)
        model.train_on_batch(linear.images, linear.labels)
        self.assertEqual(int(model.optimizer.iterations), 3)
        self.assert_same_up_to_rounding(model.get_weights()[0], kernel, 4 * FEW)


class LimitsTest(TestCase):
    """With nothing to add, each is the objective that it changes."""

    @parameterized.parameters(
        (keras_sat.AWP, {"gamma": 0.0}),
        (keras_sat.GradAlign, {"coefficient": 0.0}),
        (keras_sat.FreeTraining, {"replays": 1}),
    )
    def test_limits_are_the_plain_objective_to_the_bit(self, kind, options):
        self.use_deterministic_ops()
        for plain in keras_sat.AdversarialTraining(), keras_sat.TRADES():
            one, two = (
                [
                    np.asarray(v)
                    for part in (model, model.optimizer)
                    for v in part.variables
                ]
                for model in (
                    # A graph would fuse other operations.
                    trained(objective, run_eagerly=True)
                    for objective in (plain, kind(objective=plain, **options))
                )
            )
            self.assert_same_bits(two, one)


class TrainingTest(TestCase):
    """Training with each, alone and on top of each other."""

    @parameterized.parameters(*WRAPPED)
    def test_a_graph_gives_what_eager_execution_gives(self, objective):
        one, two = (
            trained(objective, run_eagerly=eagerly).get_weights()
            for eagerly in (False, True)
        )
        # Four steps, with signs that rounding could change, and has not.
        self.assert_same_up_to_rounding(one, two, 40 * FEW, scale=1)

    @parameterized.parameters(*WRAPPED)
    def test_weights_of_classes_are_weights_of_images(self, objective):
        self.use_deterministic_ops()
        of_classes = {0: 0.5, 1: 2.0, 2: 0.0, 3: 1.0}
        of_images = np.array([of_classes[y] for y in data()[1]], "float32")
        one, two = (
            trained(objective, fit=fit).get_weights()
            for fit in (
                {"class_weight": of_classes},
                {"sample_weight": of_images},
            )
        )
        self.assert_same_bits(one, two)

    @parameterized.parameters(*WRAPPED)
    @pytest.mark.large
    def test_it_is_saved_and_goes_on_alike(self, objective):
        self.check_saving(objective)

    @pytest.mark.large
    def test_they_work_on_top_of_each_other(self):
        self.check_saving(ALL_OF_THEM)

    def check_saving(self, objective):
        self.use_deterministic_ops()
        model = trained(objective)
        path = self.get_temp_dir() + "/model.keras"
        model.save(path)
        loaded = keras_sat.load_model(path)
        self.assertEqual(loaded.objective, objective)
        images, labels, _ = data()
        for one in model, loaded:
            one.fit(dataset(images, labels), verbose=0)
        self.assert_same_bits(loaded.get_weights(), model.get_weights())

    @parameterized.product(
        objective=WRAPPED, policy=("mixed_bfloat16", "mixed_float16")
    )
    @pytest.mark.large  # With the kernels for AVX2, oneDNN has no bfloat16.
    def test_half_precision_goes_the_same_way(self, objective, policy):
        moves = []
        for name in ("float32", policy):
            # The tests begin with float32 again, see `conftest`.
            keras.config.set_dtype_policy(name)
            # Dropout would draw other masks.
            network = stateful(dropout=0.0)
            start = network.get_weights()[0]
            model = trained(objective, network, ASIDE)
            moves.append(model.get_weights()[0] - start)
        scales = hasattr(model.optimizer, "dynamic_scale")
        self.assertEqual(scales, policy == "mixed_float16")
        lengths = np.linalg.norm(moves[0]) * np.linalg.norm(moves[1])
        self.assertGreater(np.sum(moves[0] * moves[1]) / lengths, 0.98)

    @parameterized.parameters(*WRAPPED)
    @pytest.mark.large
    def test_a_loss_scale_changes_nothing(self, objective):
        def scaled(optimizer):
            return keras.optimizers.LossScaleOptimizer(
                optimizer, initial_scale=2.0**10
            )

        one, two = (
            trained(
                objective,
                attack=ASIDE,
                optimizer=wrapped(keras.optimizers.SGD(0.1, momentum=0.9)),
            ).get_weights()
            for wrapped in (scaled, lambda optimizer: optimizer)
        )
        self.assert_same_up_to_rounding(one, two, 40 * FEW, scale=1)

    @parameterized.parameters(*WRAPPED)
    def test_a_loss_that_overflows_is_no_step(self, objective):
        model = keras_sat.SATModel(stateful(), objective=objective)
        optimizer = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.1), initial_scale=2.0**127
        )
        # No float32 holds the sum of eight losses times that.
        model.compile(optimizer, loss=keras_sat.CrossEntropy(reduction="sum"))
        before = [v.numpy() for v in model.trainable_variables]
        images, labels, _ = data(8)
        logs = model.train_on_batch(images, labels, return_dict=True)
        self.assertTrue(np.isfinite(logs["loss"]))
        self.assertEqual(
            float(optimizer.dynamic_scale), 2.0 ** (127 - objective.replays)
        )
        self.assert_same_bits(
            [v.numpy() for v in model.trainable_variables], before
        )

    @parameterized.parameters(*WRAPPED)
    @pytest.mark.large
    def test_accumulated_gradients_are_those_of_each_use(self, objective):
        images, labels, _ = data(8)
        model, copy = (
            keras_sat.SATModel(stateful(), attack=ASIDE, objective=objective)
            for _ in range(2)
        )
        start = model.trainable_variables[0].numpy()
        model.compile("sgd")
        pair, gradients = (tf.constant(images), tf.constant(labels)), []
        with mock.patch.object(norms.L2, "random", fixed_noise):
            # Two updates, of one batch or of two.
            for _ in range(2 // objective.replays):
                (*_, first, again), _ = model.forward_backward(
                    *pair, None, (1, 2)
                )
                gradients.append(first[0])
                for _ in range(1, objective.replays):
                    _, _, further, _ = model.descend(
                        pair[0], again, pair[1], None
                    )
                    gradients.append(further[0])
            copy.compile(
                keras.optimizers.SGD(0.1, gradient_accumulation_steps=2),
                jit_compile=False,
            )
            for _ in range(2 // objective.replays):
                copy.train_on_batch(images, labels)
        self.assertEqual(int(copy.optimizer.iterations), 1)
        expected = start - 0.1 * (gradients[0] + gradients[1]) / 2
        self.assert_same_up_to_rounding(
            copy.trainable_variables[0].numpy(), expected, 4 * FEW, scale=1
        )


class RefusalsTest(TestCase):
    @parameterized.parameters(
        (keras_sat.AWP, {"gamma": -0.1}, "`gamma` must be at least 0"),
        (
            keras_sat.GradAlign,
            {"coefficient": -1},
            "`coefficient` must be at least 0",
        ),
        (
            keras_sat.FreeTraining,
            {"replays": 0},
            "`replays` must be at least 1",
        ),
        (
            keras_sat.FreeTraining,
            {"step_size": 0},
            "`step_size` must be greater than 0|`step_size` must be above 0",
        ),
        (
            keras_sat.FreeTraining,
            {"objective": keras_sat.AWP(objective=keras_sat.FreeTraining())},
            "`objective` must use each batch once",
        ),
    )
    def test_wrong_values(self, kind, options, message):
        with self.assertRaisesRegex(ValueError, message + ".*Received"):
            kind(**options)

    @parameterized.parameters(
        keras_sat.AWP, keras_sat.GradAlign, keras_sat.FreeTraining
    )
    def test_what_is_no_objective(self, kind):
        for wrong in None, "trades", keras_sat.PGD():
            with self.assertRaisesRegex(
                TypeError, "`objective` must be an Objective. Received"
            ):
                kind(objective=wrong)

"""With XLA and without it, everything is the same; what has no XLA says so."""

import contextlib
import gc
import weakref
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.attacks import norms
from keras_sat.distribution import strategies
from keras_sat.distribution import xla
from tests.test_case import TestCase
from tests.test_case import available

# Steps along the gradient itself: rounding stays rounding, whereas a sign may
# flip. No noise, for which XLA has another generator.
SMOOTH = keras_sat.PGD(
    norm="l2", epsilon=0.3, step_size=0.2, steps=2, random_start=False
)
# Some hundred operations in a row, each with a relative error of 6e-8.
ROUNDING = 2e-5


class CallsPython(keras.layers.Layer):
    """The identity, by a function that only Python can run."""

    def call(self, x):
        same = tf.py_function(lambda x: x, [x], x.dtype)
        return tf.ensure_shape(same, x.shape)


class ReadsText(keras.layers.Layer):
    """The identity, by operations on strings."""

    def call(self, x):
        return x + 0 * tf.strings.to_number(tf.strings.as_string(x))


class HasAnySize(keras.layers.Layer):
    """The identity, by tensors whose size only the values tell."""

    def call(self, x):
        count = tf.cast(tf.reduce_sum(x), tf.int32) % 2 + 1
        rest = tf.shape(x)[1] - count
        padding = [[0, 0], [0, rest], [0, 0], [0, 0]]
        first = tf.pad(x[:, :count], padding)
        return x + 0 * tf.ensure_shape(first, x.shape)


class SaysNo(keras.layers.Layer):
    """The identity, which says that it cannot be compiled."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_jit = False

    def call(self, x):
        return x


class Regularized(keras.layers.Layer):
    """The identity, with a loss of its inputs."""

    def call(self, x):
        self.add_loss(tf.reduce_sum(tf.square(x)) / 100)
        return x


class FromASide(keras_sat.PGD):
    """Starts off the clean images, where the gradient of TRADES is zero."""

    def start(self, images, seed):
        return images + 0.02 * tf.sign(images - 0.5)


def network(layer, seed=0):
    """A small network with a layer of choice, always the same."""
    keras.utils.set_random_seed(seed)
    x = keras.Input((8, 8, 3))
    h = keras.layers.Conv2D(4, 3, activation="silu")(layer(x))
    h = keras.layers.GlobalAveragePooling2D()(h)
    return keras.Model(x, keras.layers.Dense(5, dtype="float32")(h))


def accelerated():
    """As if there were an accelerator: "auto" means XLA."""
    return mock.patch.object(strategies, "has_accelerator", return_value=True)


def data(dtype="float32"):
    """16 images of noise, and labels."""
    generator = np.random.default_rng(0)
    images = generator.uniform(size=(16, 8, 8, 3)).astype("float32")
    if dtype == "uint8":
        images = (255 * images).astype("uint8")
    return images, np.arange(16) % 5


# The operations that TensorFlow is known to have no kernel for; what only the
# compiler finds; and what Keras says of its layers.
OBSTACLES = (
    (CallsPython, "'EagerPyFunc' in the layer 'obstacle'"),
    (ReadsText, "in the layer 'obstacle'"),
    (HasAnySize, "the layer 'obstacle'"),
    (SaysNo, r"the layer 'obstacle' \(SaysNo\)"),
)
# Evaluations compile the network alone, not the loop of the attack.
OBSTACLES_OF_NETWORKS = [o for o in OBSTACLES if o[0] != HasAnySize]


class ObstaclesTest(TestCase):
    @contextlib.contextmanager
    def one_warning(self, words):
        with accelerated(), self.assertLogs("absl", "WARNING") as logs:
            yield
        self.assertLen(logs.output, 1, logs.output)
        self.assertRegex(logs.output[0], f"XLA cannot compile.*{words}")

    @parameterized.parameters(*OBSTACLES)
    def test_training_goes_on_without_xla(self, layer, words):
        images, labels = data()
        results = []
        for jit_compile in (False, "auto"):
            model = keras_sat.SATModel(
                network(layer(name="obstacle")),
                attack=SMOOTH,
                eval_attack=SMOOTH,
            )
            start = model.get_weights()
            with contextlib.ExitStack() as stack:
                if jit_compile:
                    stack.enter_context(self.one_warning(words))
                model.compile(jit_compile=jit_compile)
                model.fit(images, labels, batch_size=16, verbose=0)
                logs = model.evaluate(images, labels, verbose=0)
            self.assertNotAllClose(start[0], model.get_weights()[0])
            results.append([*model.get_weights()[:2], *logs])
        for one, two in zip(*results, strict=True):
            self.assertAllClose(one, two, rtol=ROUNDING, atol=ROUNDING)

    @parameterized.parameters(*OBSTACLES)
    def test_what_must_be_compiled_is_refused_by_name(self, layer, words):
        images, labels = data()
        inner = network(layer(name="obstacle"))
        message = (
            "`jit_compile` must be False or 'auto' for what XLA cannot compile."
            f" Received jit_compile=True and .*{words}"
        )
        model = keras_sat.SATModel(inner, attack=SMOOTH, eval_attack=SMOOTH)
        start = model.get_weights()
        with self.assertRaisesRegex(ValueError, message):
            model.compile(jit_compile=True)
            model.fit(images, labels, verbose=0)
        with self.assertRaisesRegex(ValueError, message):
            model.compile(jit_compile=True)
            model.evaluate(images, labels, verbose=0)
        for before, after in zip(start, model.get_weights(), strict=True):
            self.assertAllEqual(before, after)

    @parameterized.parameters(*OBSTACLES_OF_NETWORKS)
    def test_an_evaluation_refuses_what_must_be_compiled(self, layer, words):
        images, labels = data()
        inner = network(layer(name="obstacle"))
        message = f"Received jit_compile=True and .*{words}"
        with self.assertRaisesRegex(ValueError, message):
            keras_sat.evaluate_robustness(
                inner, (images, labels), SMOOTH, jit_compile=True, verbose=0
            )
        with self.assertRaisesRegex(ValueError, message):
            ensemble = keras_sat.AutoAttack(epsilon=0.05, attacks=["apgd-ce"])
            labels = np.argmax(inner(images), axis=1)
            ensemble(inner, images, labels, jit_compile=True)

    def test_each_step_is_compiled_where_the_whole_cannot_be(self):
        # The sizes that a network has by the values of the images are constants
        # for a step, but not for the loop over steps.
        images, labels = data()
        inner = network(HasAnySize())
        one, two = (
            keras_sat.evaluate_robustness(
                inner,
                (images, labels),
                SMOOTH.replace(epsilon=2.0),
                jit_compile=jit_compile,
                diagnose=False,
                verbose=0,
            ).outcomes
            for jit_compile in (False, True)
        )
        self.assertAllEqual(one, two)

    @parameterized.parameters(*OBSTACLES_OF_NETWORKS)
    def test_an_evaluation_goes_on_without_xla(self, layer, words):
        inner = network(layer(name="obstacle"))
        images, _ = data()
        labels = np.argmax(inner(images), axis=1)
        strong = keras_sat.PGD(epsilon=0.5, step_size=0.2, random_start=False)
        attacks = [strong.replace(steps=1), strong]
        options = {"diagnose": False, "verbose": 0}
        expected = keras_sat.evaluate_robustness(
            inner, (images, labels), attacks, jit_compile=False, **options
        )
        self.assertLess(expected.robust_accuracy, 1)
        with self.one_warning(words):
            report = keras_sat.evaluate_robustness(
                inner, (images, labels), attacks, **options
            )
            curve = keras_sat.robustness_curve(
                inner, (images, labels), [0.5], attacks, verbose=0
            )
        self.assertAllEqual(report.outcomes, expected.outcomes)
        self.assertEqual(curve, {0.5: expected.robust_accuracy})

    def test_a_function_is_named_by_its_operation(self):
        def model(images):
            flat = tf.reshape(images, (-1, 192))[:, :5]
            logits = tf.numpy_function(lambda x: x, [flat], tf.float32)
            return tf.ensure_shape(logits, flat.shape)

        attack = keras_sat.Square(epsilon=0.1, queries=2)
        with self.assertRaisesRegex(
            ValueError, "Received jit_compile=True and the operation 'PyFunc'"
        ):
            keras_sat.evaluate_robustness(
                model, data(), attack, jit_compile=True, verbose=0
            )

    def test_a_layer_that_only_trains_so_leaves_the_rest_compiled(self):
        class WhenTraining(CallsPython):
            def call(self, x, training=False):
                return super().call(x) if training else x

        images, labels = data()
        model = keras_sat.SATModel(
            network(WhenTraining()), attack=SMOOTH, eval_attack=SMOOTH
        )
        with accelerated():
            model.compile()
            with self.assertLogs("absl", "WARNING") as logs:
                model.fit(images, labels, verbose=0)
        self.assertLen(logs.output, 1)
        model.compile(jit_compile=True)
        self.assertLen(model.evaluate(images, labels, verbose=0), 3)

    def test_other_errors_stay_what_they_are(self):
        def broken(x):
            with tf.control_dependencies([tf.debugging.assert_less(x, 0.0)]):
                return tf.linalg.cholesky(-tf.eye(3) + x)

        function = xla.Function(broken, "auto", broken)
        self.assertAllEqual(
            np.isnan(function(tf.constant(0.0))).any(), True
        )  # XLA leaves assertions out.
        error = tf.errors.ResourceExhaustedError(None, None, "Out of memory")
        self.assertIsNone(xla.obstacle_in(error, broken))

    @pytest.mark.large
    def test_a_compiled_function_does_not_keep_a_model_alive(self):
        model = network(keras.layers.ReLU())
        function = xla.Function(lambda x: x + 1, True, model)
        self.assertEqual(function(tf.constant(1.0)), 2.0)
        known = weakref.ref(model)
        del model
        keras.backend.clear_session()
        gc.collect()
        self.assertIsNone(known())


class WantedTest(TestCase):
    def test_auto_means_xla_where_there_is_an_accelerator(self):
        for kinds, expected in (
            ((), False),
            (("GPU",), True),
            (("TPU",), True),
        ):
            with mock.patch.object(
                tf.config,
                "list_logical_devices",
                side_effect=lambda kind, kinds=kinds: [kind] * (kind in kinds),
            ):
                self.assertEqual(xla.uses_xla("auto"), expected)
                self.assertTrue(xla.uses_xla(True))
                self.assertFalse(xla.uses_xla(False))

    def test_an_unknown_jit_compile_is_refused(self):
        with self.assertRaisesRegex(
            ValueError, "`jit_compile` must be True, False or 'auto'"
        ):
            xla.uses_xla("yes")


class SameTest(TestCase):
    """Training and evaluation with XLA are those without."""

    @parameterized.named_parameters(
        (
            "trades_with_averages",
            keras_sat.TRADES(beta=2.0),
            {"optimizer": {"use_ema": True, "momentum": 0.9}},
        ),
        (
            "weighted_grey_levels",
            keras_sat.AdversarialTraining(),
            {"weights": np.linspace(0, 2, 16), "dtype": "uint8"},
        ),
    )
    @pytest.mark.large
    def test_training_and_evaluation(self, objective, options):
        self.check_same(objective, **options)

    @parameterized.parameters(
        keras_sat.MART(),
        keras_sat.AWP(objective=keras_sat.TRADES(beta=2.0), gamma=0.1),
        keras_sat.GradAlign(coefficient=0.5),
        keras_sat.FreeTraining(replays=2),
    )
    @pytest.mark.large
    def test_training_with_other_objectives(self, objective):
        self.check_same(objective)

    def check_same(self, objective, **options):
        results = []
        # XLA draws other noise.
        noise = mock.patch.object(
            norms.L2, "random", lambda self, x, radius, seed: radius * x
        )
        for jit_compile in (False, True):
            with noise:
                model = self.trained(jit_compile, objective, **options)
            images, labels = data()
            logs = model.evaluate(images, labels, batch_size=16, verbose=0)
            averages = [v.numpy() for v in model.optimizer.variables[2:]]
            results.append([*model.get_weights()[:2], *averages, *logs])
        for one, two in zip(*results, strict=True):
            self.assertAllClose(one, two, rtol=ROUNDING, atol=ROUNDING)

    def trained(
        self,
        jit_compile,
        objective,
        optimizer=None,
        weights=None,
        dtype="float32",
    ):
        model = keras_sat.SATModel(
            network(Regularized()),
            attack=FromASide(
                norm="l2", epsilon=0.3, step_size=0.2, steps=2, restarts=2
            ),
            eval_attack=SMOOTH.replace(best_iterate=True),
            objective=objective,
        )
        growing = keras_sat.schedules.LinearWarmup(1.0, steps=2, start=0.5)
        model.compile(
            keras.optimizers.SGD(0.1, **(optimizer or {})),
            weight_decay=1e-3,
            attack_schedule=keras_sat.schedules.AttackSchedule(epsilon=growing),
            jit_compile=jit_compile,
        )
        start = model.get_weights()[0]
        images, labels = data(dtype)
        model.fit(
            images,
            labels,
            sample_weight=weights,
            batch_size=8,
            shuffle=False,
            verbose=0,
        )
        self.assertNotAllClose(start, model.get_weights()[0], atol=1e-3)
        return model

    def test_mixed_precision(self):
        images, labels = data()
        moves = []
        for jit_compile in (False, True):
            # The tests begin with float32 again, see `conftest`.
            keras.config.set_dtype_policy(available("mixed_bfloat16"))
            inner = network(keras.layers.ReLU())
            model = keras_sat.SATModel(inner, attack=SMOOTH, eval_attack=SMOOTH)
            model.compile(jit_compile=jit_compile)
            start = model.get_weights()[0]
            model.fit(images, labels, batch_size=16, verbose=0)
            moves.append(model.get_weights()[0] - start)
        # XLA rounds to the 8 bits of bfloat16 in fewer places.
        difference = np.linalg.norm(moves[0] - moves[1])
        self.assertLess(difference, 0.1 * np.linalg.norm(moves[0]))

    def test_an_evaluated_loss_has_the_loss_of_layers_on_attacked_images(self):
        images, labels = data()
        inner = network(Regularized())
        for jit_compile in (False, True):
            model = keras_sat.SATModel(inner, eval_attack=SMOOTH)
            model.compile("sgd", loss="auto", jit_compile=jit_compile)
            loss, *_ = model.evaluate(images, labels, 16, verbose=0)
            adversarial = SMOOTH(inner, images, labels)
            expected = model.loss(labels, inner(adversarial))
            expected += tf.reduce_sum(tf.square(adversarial)) / 100
            self.assertAllClose(loss, expected, rtol=ROUNDING)
            on_clean = tf.reduce_sum(tf.square(images)) / 100
            on_clean += model.loss(labels, inner(adversarial))
            self.assertNotAllClose(loss, on_clean, rtol=10 * ROUNDING)

    def test_a_regularizer_of_activities_is_evaluated(self):
        images, labels = data()
        x = keras.Input((8, 8, 3))
        h = keras.layers.Flatten()(x)
        logits = keras.layers.Dense(5, activity_regularizer="l2")(h)
        inner = keras.Model(x, logits)
        losses = []
        for jit_compile in (False, True):
            model = keras_sat.SATModel(inner, eval_attack=SMOOTH)
            model.compile(jit_compile=jit_compile)
            losses.append(model.evaluate(images, labels, verbose=0)[0])
        self.assertAllClose(*losses, rtol=ROUNDING)

    def test_a_curve(self):
        inner = network(keras.layers.ReLU())
        images, _ = data()
        labels = np.argmax(inner(images), axis=1)
        curves = [
            keras_sat.robustness_curve(
                inner,
                (images, labels),
                [0.1, 0.5],
                SMOOTH,
                jit_compile=jit_compile,
                verbose=0,
            )
            for jit_compile in (False, True)
        ]
        self.assertEqual(*curves)

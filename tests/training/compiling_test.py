"""Tests of `SATModel.compile`."""

import keras

import keras_sat
from tests.test_case import TestCase


class CompilingTest(TestCase):
    def setUp(self):
        super().setUp()
        self.inner = self.tiny_classifier()[0]
        self.model = keras_sat.SATModel(self.inner)

    def test_the_recipe_is_the_one_of_the_paper(self):
        model = keras_sat.SATModel(self.inner)
        self.assertEqual(
            (model.attack.epsilon, model.attack.step_size, model.attack.steps),
            (4 / 255, 4 / 255, 1),
        )
        self.assertTrue(model.attack.random_start)
        self.assertEqual(
            (model.eval_attack.step_size, model.eval_attack.steps),
            (1 / 255, 10),
        )
        self.assertIsInstance(model.optimizer, keras.optimizers.SGD)
        self.assertEqual(model.optimizer.momentum, 0.9)
        self.assertTrue(model.optimizer.nesterov)
        self.assertEqual(model.weight_decay, 1e-4)
        self.assertEqual(model.loss.label_smoothing, 0.1)

    def test_a_negative_weight_decay_is_refused(self):
        with self.assertRaisesRegex(
            ValueError, "`weight_decay` must be at least 0. Received.*-1"
        ):
            self.model.compile(weight_decay=-1)

    def test_weight_decay_follows_the_optimizer_unless_it_is_given(self):
        for optimizer, given, expected in (
            ("auto", "auto", 1e-4),
            ("sgd", "auto", 0.0),
            ("sgd", 0.25, 0.25),
            ("auto", 0.0, 0.0),
        ):
            self.model.compile(optimizer, weight_decay=given)
            self.assertEqual(self.model.weight_decay, expected)

    def test_a_refused_argument_leaves_the_model_as_it_was(self):
        self.model.compile("sgd", weight_decay=0.25)
        probabilities = keras.losses.CategoricalCrossentropy()
        for error, arguments in (
            (ValueError, {"loss": probabilities}),
            (ValueError, {"weight_decay": -1}),
            (TypeError, {"attack_schedule": 2.0}),
        ):
            with self.assertRaisesRegex(error, "` must "):
                self.model.compile(**{"weight_decay": 0.5} | arguments)
        self.assertEqual(self.model.weight_decay, 0.25)
        self.assertEqual(self.model.optimizer.momentum, 0.0)

    def test_what_is_no_schedule_is_refused(self):
        with self.assertRaisesRegex(
            TypeError,
            "`attack_schedule` must be an AttackSchedule. Received: .*=0.5",
        ):
            self.model.compile(attack_schedule=0.5)

    def test_a_loss_that_was_described_is_made_again(self):
        loss = keras_sat.CrossEntropy(label_smoothing=0.25)
        described = keras.saving.serialize_keras_object(loss)
        self.model.compile(loss=described)
        self.assertEqual(self.model.loss.label_smoothing, 0.25)

    def test_the_arguments_are_described_and_used_again(self):
        growing = keras_sat.schedules.LinearWarmup(1.0, steps=4)
        self.model.compile(
            "adam",
            weight_decay=0.25,
            attack_schedule=keras_sat.schedules.AttackSchedule(epsilon=growing),
            check_every_batch=False,
            jit_compile=False,
        )
        config = self.model.get_compile_config()
        other = keras_sat.SATModel(self.tiny_classifier()[0])
        other.compile_from_config(config)
        self.assertEqual(other.get_compile_config(), config)
        self.assertEqual(other.weight_decay, 0.25)
        self.assertFalse(other.check_every_batch)
        self.assertIsInstance(other.optimizer, keras.optimizers.Adam)
        self.assertTrue(other.optimizer.built)

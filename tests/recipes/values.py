"""Test case of recipes: values by hand, for 100 steps in an epoch."""

import tensorflow as tf

from keras_sat import recipes
from tests.test_case import TestCase


class ValuesTest(TestCase):
    def compiled(self, recipe):
        model = recipe.model(self.tiny_classifier()[0])
        recipe.compile(model, steps_per_epoch=100)
        return model

    def check_learning_rates(self, recipe, expected):
        optimizer = self.compiled(recipe).optimizer
        for step, rate in expected.items():
            optimizer.iterations.assign(step)
            found = float(optimizer.learning_rate)
            self.assertAllClose(found, rate, rtol=1e-5, atol=1e-8)

    def check_radius_and_steps(self, recipe, expected):
        model = self.compiled(recipe)
        for step, sizes in expected.items():
            attack = model.attack
            if model.attack_schedule is not None:
                scale = model.attack_schedule.scale(tf.constant(step, tf.int64))
                attack = attack.scaled(**scale)
            found = [255 * attack.epsilon, 255 * attack.step_size]
            self.assertAllClose(found, sizes, rtol=1e-5, atol=1e-6)

    def check_the_rest(
        self, recipe, steps, eval_step_size, smoothing, ema, clean_starts
    ):
        model = self.compiled(recipe)
        self.assertEqual(model.attack.steps, steps)
        self.assertEqual(model.attack.clean_start_probability, clean_starts)
        self.assertTrue(model.attack.random_start)
        modern = recipe == recipes.imagenet_modern()
        self.assertEqual(model.attack.best_iterate, modern)
        self.assertEqual(model.eval_attack.steps, 10)
        self.assertEqual(model.eval_attack.step_size, eval_step_size)
        self.assertEqual(model.eval_attack.epsilon, model.attack.epsilon)
        self.assertEqual(model.eval_attack.clean_start_probability, 0)
        self.assertEqual(model.loss.label_smoothing, smoothing)
        self.assertEqual(model.optimizer.use_ema, bool(ema))
        self.assertEqual(model.optimizer.ema_momentum, ema or 0.99)
        self.assertEqual(model.optimizer.momentum, 0.9)
        plain = recipes.cifar10(), recipes.cifar10_mart(), recipes.cifar10_awp()
        self.assertEqual(model.optimizer.nesterov, recipe not in plain)

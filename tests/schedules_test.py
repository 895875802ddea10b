"""Tests of `keras_sat.schedules`."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat import schedules
from tests.test_case import TestCase


class LearningRateTest(TestCase):
    def values(self, schedule, steps):
        """Returns a schedule at some steps, eagerly and in a `tf.function`."""
        traced = tf.function(schedule)
        eager = [float(schedule(step)) for step in steps]
        steps = [tf.constant(step, tf.int64) for step in steps]
        self.assertAllClose([traced(step) for step in steps], eager)
        return eager

    def test_the_warm_up_is_a_line_to_a_constant(self):
        schedule = schedules.LinearWarmup(0.8, steps=4, start=0.4)
        expected = [0.4, 0.5, 0.6, 0.7, 0.8, 0.8, 0.8]
        steps = [0, 1, 2, 3, 4, 5, 1000]
        self.assertAllClose(self.values(schedule, steps), expected)

    def test_without_steps_there_is_no_warm_up(self):
        schedule = schedules.LinearWarmup(0.8, steps=0)
        self.assertAllClose(self.values(schedule, [0, 1]), [0.8, 0.8])

    def test_after_the_warm_up_the_schedule_counts_from_the_first_step(self):
        # As in the EfficientNet code: it has decayed once during the warm-up.
        decay = keras.optimizers.schedules.ExponentialDecay(
            0.5, 2.4, 0.97, staircase=True
        )
        schedule = schedules.LinearWarmup(decay, steps=4)
        expected = [0, 0.125, 0.25, 0.375, 0.5 * 0.97, 0.5 * 0.97**2]
        steps = [0, 1, 2, 3, 4, 5]
        self.assertAllClose(self.values(schedule, steps), expected)

    def test_steps_fall_at_their_first_step(self):
        schedule = schedules.step_decay(0.1, [3, 6.5], factor=0.5)
        values = self.values(schedule, range(9))
        self.assertAllClose(values, [0.1] * 3 + [0.05] * 4 + [0.025] * 2)

    def test_the_cosine_ends_at_zero(self):
        schedule = schedules.cosine_decay(0.4, 30, warmup_steps=10, start=0.1)
        expected = [0.1, 0.25, 0.4, 0.2 * (1 + math.cos(math.pi / 4)), 0.2, 0]
        steps = [0, 5, 10, 15, 20, 30]
        self.assertAllClose(self.values(schedule, steps), expected, atol=1e-7)

    def test_the_cosine_needs_no_warm_up(self):
        schedule = schedules.cosine_decay(0.4, 20)
        values = self.values(schedule, [0, 10, 20, 40])
        self.assertAllClose(values, [0.4, 0.2, 0, 0], atol=1e-7)

    def test_nested_schedules_survive_saving(self):
        schedule = schedules.LinearWarmup(
            schedules.step_decay(0.1, [3, 6]), steps=4, start=0.01
        )
        optimizer = keras.optimizers.SGD(schedule)
        config = keras.saving.serialize_keras_object(optimizer)
        loaded = keras.saving.deserialize_keras_object(config)._learning_rate
        self.assertIsInstance(loaded, schedules.LinearWarmup)
        steps = range(8)
        self.assert_same_bits(
            self.values(loaded, steps), self.values(schedule, steps)
        )

    @parameterized.parameters(
        (lambda: schedules.LinearWarmup("0.1", 4), TypeError, "schedule"),
        (lambda: schedules.LinearWarmup(0.1, -1), ValueError, "steps"),
        (lambda: schedules.step_decay(0.1, []), ValueError, "boundaries"),
        (lambda: schedules.step_decay(0.1, [6, 3]), ValueError, "boundaries"),
        (lambda: schedules.cosine_decay(0.1, 5, 5), ValueError, "steps"),
        (
            lambda: schedules.AttackSchedule(epsilon=0.5),
            TypeError,
            "epsilon.*LearningRateSchedule",
        ),
    )
    def test_bad_arguments_are_refused(self, make, error, message):
        with self.assertRaisesRegex(error, f"`{message}.*Received"):
            make()


class AttackScheduleTest(TestCase):
    """Tests inside `fit`, on a model that records the perturbations."""

    ATTACK = keras_sat.PGD(epsilon=0.08, step_size=0.02, steps=2)

    def setUp(self):
        super().setUp()
        self.images = np.full((32, 8, 8, 3), 0.5, "float32")
        self.labels = np.arange(32) % 5

    def model(self, attack=ATTACK):
        model = keras_sat.SATModel(Watched.around(self), attack)
        ramp = schedules.LinearWarmup(1.0, steps=4)
        model.compile(
            keras.optimizers.SGD(0.0),
            attack_schedule=schedules.AttackSchedule(epsilon=ramp),
        )
        return model

    def sizes(self, model, batches, of="size"):
        """Returns the largest perturbation of each batch of one `fit`."""
        found = []
        size = getattr(model.model.get_layer("watched"), of)
        remember = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: found.append(float(size))
        )
        data = tf.data.Dataset.from_tensor_slices((self.images, self.labels))
        data = data.batch(4).take(batches)
        model.fit(data, callbacks=[remember], verbose=0)
        return found

    def test_the_ball_grows_inside_the_compiled_step(self):
        # With a whole step of the radius, every image reaches the border.
        attack = self.ATTACK.replace(step_size=0.08)
        sizes = self.sizes(self.model(attack), 6)
        expected = [0, 0.02, 0.04, 0.06, 0.08, 0.08]
        self.assertAllClose(sizes, expected, atol=1e-6)

    def test_steps_grow_with_the_ball_or_by_themselves(self):
        attack = self.ATTACK.replace(random_start=False)
        sizes = self.sizes(self.model(attack), 6)
        expected = [0, 0.01, 0.02, 0.03, 0.04, 0.04]
        self.assertAllClose(sizes, expected, atol=1e-6)
        model = self.model(attack)
        half = schedules.LinearWarmup(1.0, steps=2, start=0.5)
        model.compile(
            keras.optimizers.SGD(0.0),
            attack_schedule=schedules.AttackSchedule(step_size=half),
        )
        expected = [0.02, 0.03, 0.04, 0.04]
        self.assertAllClose(self.sizes(model, 4), expected, atol=1e-6)

    def test_the_norm_and_the_range_of_pixels_do_not_matter(self):
        attack = self.ATTACK.replace(
            norm="l2", step_size=0.08, value_range=(0, 255)
        )
        model = self.model(attack)
        self.images *= 255
        lengths = self.sizes(model, 3, of="length")
        self.assertAllClose(lengths, [0, 255 * 0.02, 255 * 0.04], rtol=1e-5)

    def test_accumulated_batches_count_each(self):
        model = self.model(self.ATTACK.replace(step_size=0.08))
        optimizer = keras.optimizers.SGD(0.0, gradient_accumulation_steps=2)
        model.compile(optimizer, attack_schedule=model.attack_schedule)
        expected = [0, 0, 0.04, 0.04, 0.08, 0.08]
        self.assertAllClose(self.sizes(model, 6), expected, atol=1e-6)

    @pytest.mark.large
    def test_it_goes_on_after_saving(self):
        model = self.model(self.ATTACK.replace(step_size=0.08))
        self.sizes(model, 3)
        path = self.get_temp_dir() + "/model.keras"
        model.save(path)
        loaded = keras_sat.load_model(path)
        self.assertEqual(loaded.attack_schedule.epsilon.steps, 4)
        self.assertAllClose(self.sizes(loaded, 2), [0.06, 0.08], atol=1e-6)
        weights = self.get_temp_dir() + "/model.weights.h5"
        model.save_weights(weights)
        other = self.model(self.ATTACK.replace(step_size=0.08))
        other.load_weights(weights)
        self.assertAllClose(self.sizes(other, 2), [0.06, 0.08], atol=1e-6)

    def test_evaluation_is_at_full_size(self):
        model = self.model()
        model.eval_attack = self.ATTACK.replace(step_size=0.08)
        model.evaluate(self.images, self.labels, verbose=0)
        watched = model.model.get_layer("watched")
        self.assertAllClose(watched.evaluated_size, 0.08, atol=1e-6)

    def test_what_is_no_schedule_is_refused(self):
        model = keras_sat.SATModel(self.tiny_classifier()[0])
        with self.assertRaisesRegex(TypeError, "attack_schedule.*Received"):
            model.compile(attack_schedule=0.5)


@keras.saving.register_keras_serializable("tests")
class Watched(keras.layers.Layer):
    """A layer that records how far the training images are from grey.

    `size` is the largest distance of a pixel, `length` that of an image.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.size, self.length, self.evaluated_size = (
            self.add_weight((), "zeros", trainable=False) for _ in range(3)
        )

    def call(self, x, training=False):
        delta = x - tf.where(tf.reduce_max(x) > 2, 127.5, 0.5)
        size = tf.reduce_max(tf.abs(delta))
        if training:
            self.size.assign(size)
            self.length.assign(
                tf.reduce_max(tf.norm(tf.reshape(delta, [-1, 192]), axis=1))
            )
        else:
            largest = tf.maximum(self.evaluated_size, size)
            self.evaluated_size.assign(largest)
        return x

    @classmethod
    def around(cls, test):
        """Builds a classifier that begins with this layer."""
        inner = test.tiny_classifier()[0]
        inputs = keras.Input(inner.input_shape[1:])
        return keras.Model(inputs, inner(cls(name="watched")(inputs)))

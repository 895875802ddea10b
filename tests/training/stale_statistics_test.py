"""Tests of the warning that the attack fools another network."""

from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from tensorflow.python.framework import config as tensorflow_config

import keras_sat
from keras_sat.predictions.batch_statistics import normalizations
from keras_sat.training import stale_statistics
from tests.test_case import TestCase

WEAK = keras_sat.PGD(epsilon=0.05, step_size=0.05, steps=1)


def problem():
    """Returns images, and as their classes the half that is brighter."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 256)
    images = generator.uniform(0.3, 0.5, (256, 8, 8, 3))
    images[labels == 1, :4] += 0.2
    images[labels == 0, 4:] += 0.2
    return images.astype("float32"), labels


def network(momentum=0.99):
    """Returns a network that learns the problem in a few steps."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, use_bias=False)(image)
    if momentum is not None:
        x = keras.layers.BatchNormalization(momentum=momentum)(x)
    x = keras.layers.Activation("silu")(x)
    # What the measurement must not be misled by, nor disturb.
    x = keras.layers.Dropout(0.3)(keras.layers.Flatten()(x))
    return keras.Model(image, keras.layers.Dense(2)(x))


class StalenessTest(TestCase):
    def setUp(self):
        super().setUp()
        keras.utils.set_random_seed(0)
        self.images, self.labels = problem()

    def model(self, inner, **options):
        model = keras_sat.SATModel(inner, WEAK, WEAK, **options)
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
        return model

    def warnings(self, train, every=4):
        """Returns the warnings that are logged while `train` runs."""
        with mock.patch.object(stale_statistics, "EVERY", every):
            with mock.patch.object(
                stale_statistics.logging, "warning"
            ) as warning:
                train()
        return [call.args[0] % call.args[1:] for call in warning.mock_calls]

    def fit(self, model, epochs=6):
        model.fit(self.images, self.labels, 32, epochs, verbose=0)

    @parameterized.parameters(
        {},
        {"steps_per_execution": 3},
        {"jit_compile": True},
        {"run_eagerly": True},
        {"gradient_accumulation_steps": 2},
    )
    def test_a_long_memory_is_warned_of_once(self, **options):
        model = self.model(network(0.99))
        accumulated = options.pop("gradient_accumulation_steps", None)
        optimizer = keras.optimizers.SGD(
            0.1, momentum=0.9, gradient_accumulation_steps=accumulated
        )
        model.compile(optimizer, **options)
        warnings = self.warnings(lambda: self.fit(model))
        self.assertLen(warnings, 1)
        self.assertRegex(
            warnings[0],
            "The attack strikes a stale network: .* with momentum 0.99. Build "
            r"the network with a momentum of 0.9 \(`keras_sat.convert_"
            r"activations\(network, momentum=0.9\)`.*, or pass "
            r"`SATModel\(..., attack_statistics=\"batch\"\)`.",
        )

    def test_the_momentum_of_the_builders_is_not(self):
        model = self.model(network(0.9))
        self.assertEmpty(self.warnings(lambda: self.fit(model)))
        self.assertGreater(model.staleness._judged[0], 0)

    def test_all_builders_have_that_momentum(self):
        small = {"num_classes": 5, "input_shape": (8, 8, 3)}
        for inner in (
            keras_sat.models.residual_network(
                repeats=(1,), filters=(4,), stem_filters=4, **small
            ),
            keras_sat.models.scaled_efficientnet(
                0.25, stages=((1, 3, 1, 1, 16),), **small
            ),
            keras_sat.wide_resnet(10, 1, "silu", **small),
        ):
            momenta = {layer.momentum for layer in normalizations(inner)}
            self.assertEqual(momenta, {0.9}, inner.name)

    def test_training_batch_by_batch_is_watched_as_well(self):
        model = self.model(network(0.99))

        def train():
            for i in range(48):
                part = slice(32 * (i % 8), 32 * (i % 8) + 32)
                model.train_on_batch(self.images[part], self.labels[part])

        self.assertLen(self.warnings(train), 1)

    @parameterized.parameters(
        (network(None), "moving"), (network(0.99), "batch")
    )
    def test_nothing_is_measured_where_nothing_can_lag(self, inner, statistics):
        model = self.model(inner, attack_statistics=statistics)
        self.assertEmpty(self.warnings(lambda: self.fit(model, 3)))
        self.assertAllEqual(model.staleness._counts, [0, 0, 0])

    def test_a_frozen_network_is_not_measured(self):
        inner = network(0.99)
        inner.layers[2].trainable = False
        self.assertIsNone(self.model(inner).staleness.is_due())

    def test_the_counts_are_those_of_both_networks(self):
        inner, images, labels = self.tiny_classifier()
        staleness = keras_sat.SATModel(inner).staleness
        counts = staleness.measure(tf.constant(True), images, labels)
        twin = keras.models.clone_model(inner)
        twin.set_weights(inner.get_weights())
        by_batch = np.argmax(twin(images, training=True), axis=1)
        # The labels are what the network predicts in inference mode.
        expected = [32, np.sum(by_batch == labels), 32]
        self.assertAllEqual(counts, expected)
        self.assertLess(expected[1], 32)
        probabilities = np.eye(5, dtype="float32")[labels]
        self.assertAllEqual(
            staleness.measure(tf.constant(True), images, probabilities),
            expected,
        )
        self.assertAllEqual(
            staleness.measure(tf.constant(False), images, labels), [0, 0, 0]
        )

    def test_it_is_due_at_every_fiftieth_step(self):
        staleness = keras_sat.SATModel(network()).staleness
        due = []
        for step in range(1, 151):
            if staleness.is_due():
                due.append(step)
            staleness.add(tf.zeros(3))
        self.assertEqual(due, [50, 100, 150])

    @parameterized.parameters(
        # Each too few to be judged, and then enough.
        ([(60, 60, 0)] * 3, False),
        ([(60, 60, 0)] * 4, True),
        # A gap of a tenth is none.
        ([(200, 100, 80)] * 9, False),
        ([(200, 100, 78)] * 2, True),
        # Those that are caught up with, and the other way round.
        ([(200, 100, 0), (200, 100, 100)] * 4, False),
        ([(200, 0, 100)] * 9, False),
    )
    def test_two_large_gaps_in_a_row_are_warned_of(self, counts, expected):
        staleness = keras_sat.SATModel(network()).staleness

        def count():
            for numbers in counts:
                staleness.add(tf.constant(numbers, tf.float32))
                staleness._judge()

        self.assertLen(self.warnings(count), expected)

    @pytest.mark.large
    def test_training_is_the_same_to_the_bit(self):
        tf.config.experimental.enable_op_determinism()
        self.addCleanup(tensorflow_config.disable_op_determinism)
        results = []
        for every in (1, 10**6):
            keras.utils.set_random_seed(1)
            model = self.model(network(0.9))
            self.warnings(lambda model=model: self.fit(model, 2), every)
            self.assertEqual(model.staleness._counts[0], 512 * (every == 1))
            results.append([v.numpy() for v in model.variables])
        for one, two in zip(*results, strict=True):
            self.assertAllEqual(one, two)

    def test_the_counts_are_no_part_of_the_model(self):
        model = self.model(network())
        names = [v.path for v in (*model.variables, *model.metrics_variables)]
        self.assertNotIn("Variable", " ".join(names))
        logs = model.fit(self.images, self.labels, verbose=0).history
        self.assertEqual(set(logs), {"loss", "robust_accuracy"})

    def test_another_remedy_is_named_where_the_memory_is_short(self):
        words = stale_statistics.words(network(0.5), 0.7, 0.2)
        self.assertRegex(
            words, "with momentum 0.5. Try a lower learning rate or a larger"
        )
        self.assertNotIn("convert_activations", words)

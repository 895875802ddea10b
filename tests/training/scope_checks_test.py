"""Tests of the checks that a model belongs to the strategy that trains it."""

import keras
import numpy as np
import tensorflow as tf

import keras_sat
from keras_sat.training import scope_checks
from tests.test_case import TestCase


class ScopeChecksTest(TestCase):
    """Uses a strategy of one device; see also `replicated_model_test.py`."""

    def setUp(self):
        super().setUp()
        # It needs no collectives, which several strategies would mix up.
        self.strategy = tf.distribute.OneDeviceStrategy("CPU:0")

    def test_an_optimizer_of_another_scope_is_refused(self):
        outside = keras.optimizers.SGD(0.1)
        with self.strategy.scope():
            inside = keras.optimizers.SGD(0.1)
        for optimizer, strategy in (
            (outside, tf.distribute.get_strategy()),
            (inside, self.strategy),
            # Keras makes an optimizer of it, in the right scope.
            ("sgd", self.strategy),
            (None, self.strategy),
        ):
            arguments = {"optimizer": optimizer}
            scope_checks.check_compile_arguments(arguments, strategy)
        with self.assertRaisesRegex(
            ValueError,
            "`optimizer` must be built in the scope of the strategy that trains"
            " it. Received .*, built outside of the OneDeviceStrategy. Build",
        ):
            scope_checks.check_compile_arguments(
                {"optimizer": outside}, self.strategy
            )

    def test_metrics_are_looked_for_in_every_container(self):
        metric = keras.metrics.Mean()
        metric.update_state(1.0)
        for name in ("metrics", "weighted_metrics"):
            for given in (metric, [metric], {"output": ["loss", metric]}):
                with self.assertRaisesRegex(
                    ValueError, f"`{name}` must be built in the scope"
                ):
                    scope_checks.check_compile_arguments(
                        {name: given}, self.strategy
                    )

    def test_a_network_of_another_scope_is_refused(self):
        inner = self.tiny_classifier()[0]
        scope_checks.check_scope(inner)
        with self.strategy.scope():
            with self.assertRaisesRegex(ValueError, "`model` must be"):
                keras_sat.SATModel(inner)
            model = keras_sat.SATModel(self.tiny_classifier()[0])
        # The strategy of the model, in no scope.
        scope_checks.check_scope(model)

    def test_a_distributed_dataset_has_to_be_of_the_same_strategy(self):
        images = np.zeros((4, 8, 8, 3), "float32")
        dataset = tf.data.Dataset.from_tensors(images)
        distributed = self.strategy.experimental_distribute_dataset(dataset)
        with self.strategy.scope():
            model = keras_sat.SATModel(self.tiny_classifier()[0])
        scope_checks.check_scope(model, dataset, distributed, None)
        other = keras_sat.SATModel(self.tiny_classifier()[0])
        scope_checks.check_scope(other, dataset, None)
        with self.assertRaisesRegex(
            ValueError, "`dataset` must be distributed by the strategy of the m"
        ):
            scope_checks.check_scope(other, distributed)

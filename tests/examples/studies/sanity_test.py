import dataclasses

import keras
import numpy as np
import pytest
import sanity
import tensorflow as tf
from study import setting as settings

from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


@dataclasses.dataclass
class Trained:
    """What `sanity` reads of a trained network."""

    network: keras.Model
    seed: int = 0
    setting: object = settings.DIGITS


class LinearTest(TestCase):
    """All checks on a network whose loss is known everywhere."""

    def setUp(self):
        super().setUp()
        generator = np.random.default_rng(0)
        self.kernel = generator.normal(size=(16, 2)).astype("float32")
        inputs = keras.Input((4, 4, 1))
        dense = keras.layers.Dense(2, use_bias=False)
        outputs = dense(keras.layers.Flatten()(inputs))
        dense.kernel.assign(self.kernel)
        self.trained = Trained(keras.Model(inputs, outputs))
        pixels = generator.uniform(0.2, 0.8, (8, 4, 4, 1))
        self.images = tf.constant(pixels, "float32")
        self.labels = tf.constant([0, 1] * 4)

    def loss(self, images):
        """The mean loss of two classes by hand: log(1 + exp(-margin))."""
        logits = np.reshape(images, (8, 16)) @ self.kernel
        margins = (logits[:, 0] - logits[:, 1]) * np.array([1, -1] * 4)
        return np.log1p(np.exp(-margins)).mean()

    def test_signs_of_a_linear_network_never_turn(self):
        found = sanity.same_signs(self.trained, self.images, self.labels)
        self.assertEqual(found, dict.fromkeys(sanity.BY_MOVE.values(), 1.0))

    def test_signs_of_a_network_of_steps_turn(self):
        # The second derivative of sin(1000 x) is large everywhere.
        inputs = keras.Input((4, 4, 1))
        waves = keras.layers.Lambda(lambda x: keras.ops.sin(1000 * x))(inputs)
        network = keras.layers.Flatten()(waves)
        trained = Trained(keras.Model(inputs, keras.layers.Dense(2)(network)))
        found = sanity.same_signs(trained, self.images, self.labels)
        for share in found.values():
            self.assertBetween(share, 0.3, 0.7)

    def test_the_surface_is_that_by_hand(self):
        found = sanity.surface(self.trained, self.images, self.labels)
        difference = np.sign(self.kernel[:, 1] - self.kernel[:, 0])
        sign = np.reshape(difference, (1, 4, 4, 1)) * np.reshape(
            [1, -1] * 4, (8, 1, 1, 1)
        )
        epsilon = self.trained.setting.epsilon
        for along in sanity.PLACES:
            self.assertAllClose(
                found[sanity.SURFACE[along, 0.0]],
                self.loss(self.images.numpy() + along * epsilon * sign),
                rtol=1e-5,
            )
        # No direction is steeper than the sign of the gradient.
        highest = found[sanity.SURFACE[1.0, 0.0]]
        for across in -1.0, 1.0:
            self.assertLess(found[sanity.SURFACE[0.0, across]], highest)

    def test_accuracy_falls_to_zero_where_it_must(self):
        found = sanity.falls_to_zero(self.trained, self.images, self.labels)
        accuracies = list(found.values())
        self.assertEqual(accuracies, sorted(accuracies, reverse=True))
        self.assertEqual(list(found), list(sanity.BY_RADIUS.values()))
        # With the radius 1, every image can become any other one.
        self.assertEqual(accuracies[-1], 0.0)

    @pytest.mark.large
    def test_the_columns_are_those_of_the_study(self):
        arm = sanity.STUDY.arms["relu"]
        trained = Trained(self.trained.network)
        trained.arm = arm
        trained.data = dataclasses.make_dataclass("Data", ["test"])(
            (self.images.numpy(), self.labels.numpy())
        )
        found = sanity.sanity(trained)
        self.assertEqual(set(found), set(sanity.STUDY.columns))
        # A network with ReLU has no other one to be compared with.
        self.assertIsNone(found["from_relu"])

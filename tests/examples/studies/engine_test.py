import dataclasses
import itertools
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from gradient_quality import STUDY
from study import costs
from study import data
from study import engine
from study import setting as settings

import keras_sat
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

TINY = dataclasses.replace(
    settings.DIGITS,
    images=96,
    batch_size=32,
    epochs=2,
    filters=(4, 4),
    evaluation_steps=3,
    autoattack_images=8,
)


def weights(model):
    """The weights of a model, by their paths."""
    return {w.path: np.array(w) for w in model.weights}


class PairingTest(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = data.read(settings.DIGITS)
        cls.data = dataclasses.replace(
            cls.data,
            train=tuple(part[:96] for part in cls.data.train),
            test=tuple(part[:40] for part in cls.data.test),
        )

    def test_all_arms_of_a_seed_begin_with_the_same_weights(self):
        first = weights(engine.prepared(STUDY.arms["relu"], TINY, 10, 1).model)
        for name, arm in STUDY.arms.items():
            with self.subTest(name):
                found = engine.prepared(arm, TINY, 10, 1).model
                self.assert_same_bits(weights(found), first)
        other = weights(engine.prepared(STUDY.arms["relu"], TINY, 10, 2).model)
        self.assertNotAllEqual(first["conv0/kernel"], other["conv0/kernel"])

    def test_weights_of_other_shapes_do_not_move_the_rest(self):
        relu = STUDY.arms["relu"]
        first = weights(engine.prepared(relu, TINY, 10, 1).model)
        for change in (
            {"filters": (4, 8)},
            # A block in between, before which no number is drawn for the rest.
            {"repeats": (2, 1)},
        ):
            arm = dataclasses.replace(relu, network=change)
            found = weights(engine.prepared(arm, TINY, 10, 1).model)
            common = [
                path
                for path in set(first) & set(found)
                if first[path].shape == found[path].shape
            ]
            self.assertIn("conv0/kernel", common)
            self.assertGreater(len(common), 8)
            for path in common:
                self.assertAllEqual(found[path], first[path])

    def test_the_attack_has_the_same_noise_for_all_arms(self):
        seeds = set()
        arms = [*STUDY.arms.values()]
        arms.append(dataclasses.replace(arms[0], network={"repeats": (2, 1)}))
        arms.append(dataclasses.replace(arms[0], activation="smoothrelu"))
        for arm in arms:
            model = engine.prepared(arm, TINY, 10, 1)
            seeds.add(tuple(np.array(model.seeds.state)))
        self.assertLen(seeds, 1)

    @pytest.mark.large
    def test_all_arms_see_the_same_batches(self):
        seen = []

        class Recording(costs.EpochCosts):
            """Notes the images of each step, in place of the times."""

            def set_model(self, model):
                super().set_model(model)
                forward = model.forward_backward

                def recorded(images, labels, *args):
                    tf.py_function(note, [images, labels], [])
                    return forward(images, labels, *args)

                model.forward_backward = recorded

        def note(images, labels):
            seen[-1].append((images.numpy(), labels.numpy()))

        for name in ("relu", "both"):
            seen.append([])
            with mock.patch.object(engine, "EpochCosts", Recording):
                engine.train(STUDY.arms[name], TINY, self.data, 3)
        # Two epochs of three batches, in the order that the seed says.
        images, labels = self.data.train
        expected = []
        for epoch in range(2):
            rows = data.order(96, 3, epoch).reshape(3, 32)
            expected += [(images[batch], labels[batch]) for batch in rows]
        for found in seen:
            self.assertLen(found, 6)
            self.assert_same_bits(found, expected)

    def test_each_epoch_of_each_seed_has_an_order_of_its_own(self):
        orders = [data.order(96, *pair) for pair in ((0, 0), (0, 1), (1, 0))]
        for one, two in itertools.combinations(orders, 2):
            self.assertNotAllEqual(one, two)
        for found in orders:
            self.assertAllEqual(np.sort(found), np.arange(96))


class GradientsTest(TestCase):
    """Whose derivatives attacker and optimizer follow, arm by arm."""

    def setUp(self):
        super().setUp()
        generator = np.random.default_rng(0)
        self.images = tf.constant(
            generator.uniform(size=(4, 8, 8, 1)), "float32"
        )
        self.labels = tf.constant([1, 2, 3, 4])

    def gradients(self, network):
        """Gradients of the loss in images and in the first kernel."""
        kernel = network.trainable_weights[0].value
        with tf.GradientTape() as tape:
            tape.watch(self.images)
            logits = network(self.images, training=False)
            loss = tf.reduce_sum(logits * tf.one_hot(self.labels, 10))
        return [*tape.gradient(loss, [self.images, kernel]), logits]

    def test_each_arm_follows_its_own(self):
        # Weights that let all units count.
        arms = STUDY.arms
        relu = self.gradients(self.network(arms["relu"])[0])
        both = self.gradients(self.network(arms["both"])[0])
        self.assertNotAllClose(relu[0], both[0])
        self.assertNotAllClose(relu[1], both[1])
        self.assert_same_bits(relu[2], both[2])
        for name, attacker, optimizer in (
            ("relu", relu, relu),
            ("attacker", both, relu),
            ("optimizer", relu, both),
            ("both", both, both),
        ):
            with self.subTest(name):
                trained, attacked = self.network(arms[name])
                self.assert_same_bits(self.gradients(attacked)[0], attacker[0])
                self.assert_same_bits(self.gradients(trained)[1], optimizer[1])

    def network(self, arm):
        """The network that is trained, and that which its attack sees."""
        model = engine.prepared(arm, TINY, 10, 0)
        for weight in model.model.weights:
            # Gammas that begin at 0 would hide the blocks.
            if weight.path.endswith("gamma"):
                weight.assign(tf.ones_like(weight))
        return model.model, model.attack_model or model.model

    def test_evaluations_follow_the_gradient_of_relu(self):
        relu = keras_sat.activations.get("relu")
        for name in ("relu", "attacker", "optimizer", "both"):
            arm = STUDY.arms[name]
            used = arm.evaluated_activation or arm.activation
            self.assertIs(keras_sat.activations.get(used), relu)


class RunTest(TestCase):
    @pytest.mark.large
    def test_a_row_is_the_same_again(self):
        self.use_deterministic_ops()
        images = data.read(settings.DIGITS, count=40)
        options = engine.Options(autoattack_seeds=0, deterministic=True)
        rows = []
        for _ in range(2):
            rows.append(
                engine.run(STUDY, "optimizer", 4, TINY, images, options)
            )
            # Whatever happens in between.
            keras.utils.set_random_seed(9)
            tf.random.uniform([3])
        self.assertEqual(tuple(rows[0]), engine.columns(STUDY))
        for column in set(rows[0]) - set(engine.varying(STUDY)):
            self.assertEqual(rows[0][column], rows[1][column], column)
        self.assertEqual(rows[0]["evaluated_images"], 40)
        self.assertIsNone(rows[0]["autoattack_accuracy"])

    @pytest.mark.large
    def test_the_evaluated_network_is_the_trained_function(self):
        images = data.read(settings.DIGITS, count=40)
        trained = engine.train(STUDY.arms["both"], TINY, images, 0)
        self.assertIsNot(trained.network, trained.model.model)
        shown = images.test[0]
        self.assert_same_bits(
            trained.network(shown, training=False),
            trained.model(shown, training=False),
        )

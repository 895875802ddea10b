import json
import os
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.predictions.batch_statistics import normalizations
from keras_sat.predictions.batch_statistics import of_the_batch
from keras_sat.predictions.inference import inference
from tests.processes import finish
from tests.processes import start
from tests.test_case import TestCase

ATTACK = keras_sat.PGD(
    epsilon=0.05, step_size=0.02, steps=3, random_start=False
)


def normalization(size, **options):
    """A layer whose weights and statistics are those of no batch."""
    generator = np.random.default_rng(1)
    layer = keras.layers.BatchNormalization(**options)
    layer.build((None, size))
    layer.set_weights(generator.uniform(0.5, 2, np.shape(layer.get_weights())))
    return layer


def normalized(x, layer):
    """By hand: `x` by its own mean and variance."""
    mean, variance = x.mean(0), x.var(0)
    scale = np.asarray(layer.gamma) / np.sqrt(variance + layer.epsilon)
    return (x - mean) * scale + np.asarray(layer.beta)


def copy(network):
    """Another network with the same weights."""
    clone = keras.models.clone_model(network)
    clone.set_weights(network.get_weights())
    return clone


class Noisy(keras.layers.Layer):
    """Notes in a weight when it is run in training mode."""

    def build(self, shape):
        self.calls = self.add_weight((), "zeros", trainable=False)

    def call(self, x, training=False):
        if training:
            self.calls.assign_add(1.0)
        return x + tf.cast(training, x.dtype)


class BatchStatisticsTest(TestCase):
    def setUp(self):
        super().setUp()
        generator = np.random.default_rng(0)
        self.x = generator.normal(1, 3, (16, 6)).astype("float32")

    def test_logits_are_those_of_the_closed_form(self):
        one, two = normalization(6), normalization(4)
        dense = keras.layers.Dense(4)
        network = keras.Sequential([keras.Input((6,)), one, dense, two])
        kernel, bias = dense.get_weights()
        hidden = normalized(self.x, one) @ kernel + bias
        logits = inference(network, "batch")(self.x)
        self.assertAllClose(logits, normalized(hidden, two), atol=1e-4)
        self.assertNotAllClose(logits, network(self.x), atol=0.1)

    def test_gradients_flow_through_the_statistics(self):
        layer = normalization(6)
        network = keras.Sequential([keras.Input((6,)), layer])
        factors = np.random.default_rng(2).normal(size=self.x.shape)
        x = tf.constant(self.x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(factors * inference(network, "batch")(x))
        deviation = np.sqrt(self.x.var(0) + layer.epsilon)
        unit = (self.x - self.x.mean(0)) / deviation
        expected = (np.asarray(layer.gamma) / deviation) * (
            factors - factors.mean(0) - unit * (factors * unit).mean(0)
        )
        self.assertAllClose(tape.gradient(value, x), expected, atol=1e-4)

    @parameterized.parameters({}, {"renorm": True}, {"synchronized": True})
    def test_nothing_changes_and_all_else_stays_in_inference_mode(
        self, **options
    ):
        network = keras.Sequential(
            [
                keras.Input((6,)),
                keras.layers.Dropout(0.5),
                normalization(6, **options),
                Noisy(),
            ]
        )
        # The moments of a single replica, which are computed in another way.
        options.pop("synchronized", None)
        expected = normalization(6, **options)(self.x, training=True)
        variables = network.weights + network.layers[0].variables
        before = [np.array(v) for v in variables]
        logits = inference(network, "batch")(self.x)
        # To the bit: the same operations on the same numbers.
        self.assertAllEqual(logits, expected)
        for variable, value in zip(variables, before, strict=True):
            self.assertAllEqual(variable, value, variable.path)
        self.assertAllEqual(
            inference(network)(self.x), network(self.x, training=False)
        )

    def test_a_frozen_layer_keeps_to_its_moving_statistics(self):
        network = keras.Sequential([keras.Input((6,)), normalization(6)])
        network.layers[0].trainable = False
        self.assertEmpty(normalizations(network))
        self.assertAllEqual(
            inference(network, "batch")(self.x), network(self.x)
        )

    def test_layers_are_found_wherever_they_are(self):
        class Block(keras.layers.Layer):
            def __init__(self):
                super().__init__()
                self.inner = normalization(6, name="in_a_layer")

            def call(self, x, training=None):
                return self.inner(x, training=training)

        class Subclassed(keras.Model):
            def __init__(self):
                super().__init__()
                self.inner = normalization(6, name="in_a_subclass")

            def call(self, x):
                return self.inner(x)

        image = keras.Input((6,))
        nested = keras.Model(image, normalization(6, name="nested")(image))
        rows = keras.layers.Reshape((1, 6))(
            Subclassed()(Block()(nested(image)))
        )
        inner = keras.layers.BatchNormalization(name="wrapped")
        rows = keras.layers.TimeDistributed(inner)(rows)
        network = keras.Model(image, keras.layers.Flatten()(rows))
        self.assertEqual(
            {layer.name for layer in normalizations(network)},
            {"nested", "in_a_layer", "in_a_subclass", "wrapped"},
        )
        logits = inference(network, "batch")(self.x)
        weights = network.get_weights()
        # Nothing else has a mode here.
        self.assertAllClose(logits, network(self.x, training=True), atol=1e-5)
        network.set_weights(weights)
        layers = normalizations(network)
        for layer in layers:
            for other in layers:
                other.trainable = other is layer
            logits = inference(network, "batch")(self.x)
            self.assertNotAllClose(logits, network(self.x), msg=layer.name)

    @parameterized.parameters("mixed_float16", "mixed_bfloat16", "float64")
    def test_other_precisions_are_normalized_as_in_training(self, policy):
        network = keras.Sequential(
            [keras.Input((6,)), normalization(6, dtype=policy)]
        )
        logits = inference(network, "batch")(self.x)
        expected = network(self.x, training=True)
        self.assertAllEqual(logits, tf.cast(expected, tf.float32))

    @parameterized.parameters(False, True)
    def test_it_works_in_compiled_loops(self, jit_compile):
        network, images, labels = self.tiny_classifier()
        attack = tf.function(
            lambda: ATTACK(inference(network, "batch"), images, labels),
            jit_compile=jit_compile,
        )
        twin = copy(network)
        expected = ATTACK(lambda x: twin(x, training=True), images, labels)
        self.assertAllClose(attack(), expected, atol=1e-5)
        moving = ATTACK(network, images, labels)
        self.assertNotAllClose(attack(), moving, atol=1e-2)

    def test_layers_get_their_own_methods_back(self):
        network = keras.Sequential([keras.Input((6,)), normalization(6)])
        layer = network.layers[0]
        with of_the_batch(network), of_the_batch(network):
            self.assertIn("call", vars(layer))
        self.assertNotIn("call", vars(layer))
        with self.assertRaisesRegex(ValueError, "incompatible"):
            inference(network, "batch")(self.x[:, :3])
        self.assertNotIn("call", vars(layer))
        # A method that somebody else gave the layer stays, and is used.
        vars(layer)["call"] = lambda inputs, **_: 0 * inputs
        patched = layer.call
        with of_the_batch(network):
            self.assertAllEqual(network(self.x, training=False), 0 * self.x)
        self.assertIs(layer.call, patched)

    def test_other_threads_are_not_concerned(self):
        network = keras.Sequential([keras.Input((6,)), normalization(6)])
        expected = np.asarray(network(self.x))
        entered, left = threading.Event(), threading.Event()
        logits = {}

        def other():
            logits["before"] = np.asarray(network(self.x))
            with of_the_batch(network):
                entered.set()
                left.wait()
                # The first one to come has gone.
                logits["batch"] = np.asarray(network(self.x))
            logits["after"] = np.asarray(network(self.x))

        thread = threading.Thread(target=other)
        with of_the_batch(network):
            thread.start()
            entered.wait()
        logits["main"] = np.asarray(network(self.x))
        left.set()
        thread.join()
        for name in ("before", "after", "main"):
            self.assertAllEqual(logits[name], expected, name)
        self.assertAllClose(
            logits["batch"],
            normalized(self.x, network.layers[0]),
            atol=1e-4,
        )
        self.assertNotIn("call", vars(network.layers[0]))


class Spy(keras_sat.TRADES):
    """Keeps the images and the targets of the last step."""

    seen = {}

    def targets(self, predict, images, labels):
        self.seen["targets"] = super().targets(predict, images, labels)
        return self.seen["targets"]

    def __call__(self, model, images, adversarial, labels, weights):
        self.seen["adversarial"] = adversarial
        return super().__call__(model, images, adversarial, labels, weights)


class AttackStatisticsTest(TestCase):
    def setUp(self):
        super().setUp()
        self.inner, self.images, self.labels = self.tiny_classifier()
        self.twin = copy(self.inner)

    def step(self, attack_model=None, attack=ATTACK, **options):
        """Adversarial images and targets of a step of TRADES."""
        model = keras_sat.SATModel(
            self.inner,
            attack,
            objective=Spy(),
            attack_model=attack_model,
            **options,
        )
        model.compile(jit_compile=False)
        images = tf.constant(self.images)
        model.forward_backward(images, self.labels, None, (1, 2))
        return Spy.seen["adversarial"], Spy.seen["targets"]

    def test_the_attack_and_its_targets_go_by_the_batch(self):
        attack = ATTACK.replace(random_start=True)

        def by_batch(x):
            return self.twin(x, training=True)

        targets = tf.nn.softmax(by_batch(self.images))
        adversarial = attack(by_batch, self.images, targets, seed=(1, 2))
        found = self.step(attack=attack, attack_statistics="batch")
        self.assertAllClose(found, (adversarial, targets), atol=1e-5)
        default = self.step(attack=attack)
        for one, two in zip(default, found, strict=True):
            self.assertNotAllClose(one, two, atol=1e-2)

    def test_an_attack_model_goes_by_the_batch_too(self):
        twin = copy(self.inner)
        expected = self.step(attack_statistics="batch")
        found = self.step(twin, attack_statistics="batch")
        self.assertAllClose(found, expected, atol=1e-6)

    @parameterized.parameters(False, True)
    def test_the_moving_statistics_move_once_in_a_step(self, jit_compile):
        model = keras_sat.SATModel(
            self.inner, ATTACK, attack_statistics="batch"
        )
        model.compile(jit_compile=jit_compile)
        adversarial = ATTACK(
            inference(self.twin, "batch"), self.images, self.labels
        )
        self.twin(adversarial, training=True)
        model.fit(
            self.images, self.labels, len(self.images), shuffle=False, verbose=0
        )
        for mine, expected in zip(
            self.inner.non_trainable_weights,
            self.twin.non_trainable_weights,
            strict=True,
        ):
            self.assertAllClose(mine, expected, rtol=0, atol=1e-5)

    def test_evaluation_goes_by_the_moving_statistics(self):
        logs = [
            keras_sat.SATModel(
                self.inner, eval_attack=ATTACK, attack_statistics=statistics
            ).evaluate(self.images, self.labels, verbose=0)
            for statistics in ("moving", "batch")
        ]
        self.assertAllEqual(*logs)

    def test_the_choice_is_saved_and_part_of_what_makes_a_run(self):
        path = os.path.join(self.get_temp_dir(), "model.keras")
        model = keras_sat.SATModel(self.inner, attack_statistics="batch")
        model.save(path)
        loaded = keras_sat.load_model(path)
        self.assertEqual(loaded.attack_statistics, "batch")
        other = keras_sat.SATModel(self.inner)
        other.build_optimizer()
        differing = [
            name
            for name, value in other.fingerprint().items()
            if value != loaded.fingerprint()[name]
        ]
        self.assertEqual(differing, ["attack_statistics"])

    @parameterized.parameters("Batch", None, True)
    def test_another_value_is_refused(self, value):
        with self.assertRaisesRegex(
            ValueError,
            r"`attack_statistics` must be one of \['batch', 'moving'\]. "
            f"Received: attack_statistics={value!r}",
        ):
            keras_sat.SATModel(self.inner, attack_statistics=value)

    @pytest.mark.large
    def test_each_replica_goes_by_its_own_share(self):
        output, _ = finish(start("attack_statistics"))
        results = json.loads(output.splitlines()[-1])
        self.assertLen(results["found"], 2)
        for name, found in results["found"].items():
            for part, expected in results["expected"].items():
                self.assertAllClose(
                    found[part], expected, rtol=0, atol=1e-6, msg=name
                )
        counts, expected, warnings = results["counted"]
        self.assertEqual(counts, expected)
        self.assertRegex(warnings[0], "stale network: .* of the adversarial")

import json
import os
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.attacks.compiled import compiled
from keras_sat.weights.decay import kernels
from tests.test_case import FIXTURES
from tests.test_case import PASS
from tests.test_case import TestCase
from tests.test_case import needs_xla

pytestmark = pytest.mark.numeric

WEAK = keras_sat.PGD(epsilon=0.05, step_size=0.05, steps=1)
# For what is computed in two ways: without noise, which XLA draws differently,
# and without signs, which rounding changes where a gradient is next to 0.
EVEN = keras_sat.PGD(
    epsilon=0.5, step_size=0.5, steps=1, norm="l2", random_start=False
)
# The operations of a step: two passes for each gradient, and the update.
STEP = 5 * PASS


def dataset(images, labels, batch_size=8, weights=None):
    parts = (images, labels) if weights is None else (images, labels, weights)
    return tf.data.Dataset.from_tensor_slices(parts).batch(batch_size)


class Recorder(keras.layers.Layer):
    """Counts the calls in each mode, to see who runs the network how."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.training_calls = self.add_weight((), "zeros", trainable=False)

    def call(self, x, training=False):
        if training:
            self.training_calls.assign_add(1.0)
        return x


@pytest.mark.numeric
class FitTest(TestCase):
    def setUp(self):
        super().setUp()
        self.inner, self.images, self.labels = self.tiny_classifier()
        self.images = np.asarray(self.images)
        self.labels = np.asarray(self.labels)
        self.data = dataset(self.images, self.labels)

    def test_the_two_lines_work_without_compile(self):
        model = keras_sat.SATModel(self.inner)
        history = model.fit(self.data, epochs=2, verbose=0).history
        self.assertEqual(set(history), {"loss", "robust_accuracy"})
        self.assertAllInRange(history["robust_accuracy"], 0, 1)

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

    def test_data_of_unknown_length_train_like_those_of_known_length(self):
        results = []
        for data in (self.data, self.data.filter(lambda images, labels: True)):
            keras.utils.set_random_seed(0)
            # The noise of attack and dropout, and the learning rate, go on
            # from step to step.
            x = keras.Input((8, 8, 3))
            h = keras.layers.GlobalAveragePooling2D()(x)
            h = keras.layers.Dropout(0.3)(h)
            model = keras_sat.SATModel(
                keras.Model(x, keras.layers.Dense(5)(h)), attack=WEAK
            )
            decay = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.9)
            model.compile(keras.optimizers.SGD(decay))
            with self.deterministic(), warnings.catch_warnings():
                # Keras warns where it did not know the length.
                warnings.filterwarnings("ignore", "Your input ran out of data")
                logs = model.fit(
                    data, epochs=2, validation_data=data, verbose=0
                ).history
            self.assertEqual(int(model.optimizer.iterations), 8)
            states = [np.array(v) for v in model.variables]
            results.append([*states, *logs.values()])
        self.assert_same_bits(*results)

    def test_training_makes_a_classifier_robust(self):
        # Class = the brighter half; robust features exist, so it can learn.
        generator = np.random.default_rng(0)
        labels = generator.integers(0, 2, 256)
        images = generator.uniform(0.3, 0.5, (256, 8, 8, 3))
        images[labels == 1, :4] += 0.2
        images[labels == 0, 4:] += 0.2
        model = keras_sat.SATModel(
            self.tiny_classifier()[0], attack=WEAK, eval_attack=WEAK
        )
        data = dataset(images.astype("float32"), labels, 32)
        before = model.evaluate(data, return_dict=True, verbose=0)
        history = model.fit(data, epochs=8, validation_data=data, verbose=0)
        after = model.evaluate(data, return_dict=True, verbose=0)
        self.assertEqual(
            set(after), {"loss", "clean_accuracy", "robust_accuracy"}
        )
        self.assertGreater(after["robust_accuracy"], 0.9)
        self.assertLess(before["robust_accuracy"], 0.8)
        self.assertLess(after["loss"], before["loss"])
        self.assertLen(history.history["val_robust_accuracy"], 8)

    def test_one_update_equals_the_update_by_hand(self):
        attack = EVEN
        model = keras_sat.SATModel(self.inner, attack=attack)
        model.compile(
            keras.optimizers.SGD(0.5), weight_decay=0.01, run_eagerly=False
        )
        inner = keras.models.clone_model(self.inner)
        inner.set_weights(self.inner.get_weights())
        adversarial = attack(inner, self.images, self.labels)
        with tf.GradientTape() as tape:
            logits = inner(adversarial, training=True)
            targets = 0.9 * np.eye(5)[self.labels] + 0.1 / 5
            loss = tf.reduce_mean(
                tf.nn.softmax_cross_entropy_with_logits(targets, logits)
            )
            for kernel in kernels(inner):
                loss += 0.01 / 2 * tf.reduce_sum(kernel.value**2)
        gradients = tape.gradient(loss, inner.trainable_variables)
        for variable, gradient in zip(
            inner.trainable_variables, gradients, strict=True
        ):
            variable.assign_sub(0.5 * gradient)
        data = dataset(self.images, self.labels, len(self.images))
        history = model.fit(data, verbose=0).history
        self.assert_same_up_to_rounding(history["loss"][0], loss, STEP)
        self.assert_same_up_to_rounding(
            self.inner.get_weights(), inner.get_weights(), STEP
        )

    def test_weight_decay_is_for_kernels_only(self):
        names = {v.name for v in kernels(self.inner)}
        others = {v.name for v in self.inner.trainable_variables} - names
        self.assertEqual(names, {"kernel"})
        self.assertEqual(others, {"bias", "beta", "gamma"})

    def test_the_attack_runs_in_inference_mode_and_training_once(self):
        recorder = Recorder()
        x = keras.Input((8, 8, 3))
        h = keras.layers.GlobalAveragePooling2D()(recorder(x))
        model = keras.Model(x, keras.layers.Dense(5)(h))
        model = keras_sat.SATModel(model, attack=WEAK.replace(steps=4))
        model.fit(self.data, epochs=3, verbose=0)
        batches = 3 * len(self.data)
        self.assertEqual(float(recorder.training_calls), batches)
        model.evaluate(self.data, verbose=0)
        self.assertEqual(float(recorder.training_calls), batches)

    def test_evaluate_gives_loss_and_accuracies_of_the_attacked_images(self):
        attack = EVEN.replace(steps=3)
        model = keras_sat.SATModel(self.inner, eval_attack=attack)
        logs = model.evaluate(
            dataset(self.images, self.labels, 7), return_dict=True, verbose=0
        )
        adversarial = attack(self.inner, self.images, self.labels)
        robust, clean = self.inner(adversarial), self.inner(self.images)
        loss = keras_sat.CrossEntropy(label_smoothing=0.1)
        expected = {
            "loss": loss(self.labels, robust),
            "clean_accuracy": np.mean(np.argmax(clean, 1) == self.labels),
            "robust_accuracy": np.mean(np.argmax(robust, 1) == self.labels),
        }
        self.assert_same_up_to_rounding(logs, expected, 7 * PASS)

    def test_evaluate_takes_another_attack(self):
        weak = WEAK.replace(random_start=False)
        strong = weak.replace(epsilon=0.5, step_size=0.1, steps=20)
        model = keras_sat.SATModel(self.inner, eval_attack=weak)

        def robust_accuracy(attack=None):
            logs = model.evaluate(
                self.data, attack=attack, return_dict=True, verbose=0
            )
            return logs["robust_accuracy"]

        expected = robust_accuracy()
        for _ in range(2):
            other = keras_sat.SATModel(self.inner, eval_attack=strong)
            logs = other.evaluate(self.data, return_dict=True, verbose=0)
            self.assertEqual(robust_accuracy(strong), logs["robust_accuracy"])
            self.assertEqual(robust_accuracy(), expected)
            self.assertGreater(expected, robust_accuracy(strong))
            self.assertEqual(model.eval_attack, weak)
            # The function of the other attack was of the weights themselves.
            kernel = self.inner.trainable_variables[0]
            kernel.assign(0.9 * kernel)
            expected = robust_accuracy()

    def test_predict_and_call_are_the_plain_classifier(self):
        model = keras_sat.SATModel(self.inner)
        expected = self.inner(self.images)
        self.assert_same_bits(model(self.images), expected)
        self.assert_same_up_to_rounding(
            model.predict(self.images, verbose=0), expected
        )

    def test_uint8_batches_are_scaled_everywhere(self):
        grey = np.round(self.images * 255).astype("uint8")
        scaled = grey.astype("float32") / 255
        results = []
        for images in (grey, scaled):
            keras.utils.set_random_seed(0)
            model = keras_sat.SATModel(self.tiny_classifier()[0], EVEN, EVEN)
            data = dataset(images, self.labels)
            history = model.fit(data, verbose=0).history["loss"]
            logs = model.evaluate(data, verbose=0)
            logits = model.predict(images, verbose=0)
            results.append((history, logs, logits))
        # Four steps, and an evaluation.
        self.assert_same_up_to_rounding(*results, 5 * STEP)

    def test_another_value_range_trains_the_same_network(self):
        weights = []
        for factor in (1.0, 255.0):
            keras.utils.set_random_seed(0)
            x = keras.Input((8, 8, 3))
            h = keras.layers.Rescaling(1 / factor)(x)
            h = keras.layers.Conv2D(4, 3, activation="silu")(h)
            h = keras.layers.GlobalAveragePooling2D()(h)
            model = keras_sat.SATModel(
                keras.Model(x, keras.layers.Dense(5)(h)),
                attack=EVEN,
                value_range=(0.0, factor),
            )
            data = dataset(self.images * np.float32(factor), self.labels)
            model.fit(data, verbose=0)
            weights.append(model.get_weights())
        self.assert_same_up_to_rounding(*weights, 4 * STEP)

    def test_sample_weights_reach_the_loss(self):
        # Images of weight 0 change nothing. The attack does not, either.
        attack = WEAK.replace(epsilon=1e-30, step_size=1e-30)
        self.use_deterministic_ops()
        wrong = (self.labels + 1) % 5
        half = len(self.labels) // 2
        weights = np.array([1.0] * half + [0.0] * half, "float32")
        results = []
        for tail in (self.labels, wrong):
            keras.utils.set_random_seed(0)
            model = keras_sat.SATModel(self.tiny_classifier()[0], attack)
            labels = np.concatenate([self.labels[:half], tail[half:]])
            model.fit(
                dataset(self.images, labels, 2 * half, weights), verbose=0
            )
            results.append(model.get_weights())
        self.assert_same_bits(*results)

    def test_class_weights_are_sample_weights(self):
        results = []
        per_class = {0: 1.0, 1: 2.0, 2: 0.5, 3: 1.0, 4: 0.0}
        each = np.array([per_class[y] for y in self.labels], "float32")
        self.use_deterministic_ops()
        for weights, class_weight in ((each, None), (None, per_class)):
            keras.utils.set_random_seed(0)
            model = keras_sat.SATModel(self.tiny_classifier()[0])
            data = dataset(self.images, self.labels, 8, weights)
            model.fit(data, class_weight=class_weight, verbose=0)
            results.append(model.get_weights())
        self.assert_same_bits(*results)

    def test_losses_of_layers_are_trained(self):
        x = keras.Input((8, 8, 3))
        h = keras.layers.GlobalAveragePooling2D()(x)
        dense = keras.layers.Dense(
            5, kernel_regularizer=keras.regularizers.L2(3.0)
        )
        model = keras_sat.SATModel(keras.Model(x, dense(h)))
        model.compile("sgd", loss=lambda y, z: 0.0 * tf.reduce_sum(z, 1))
        expected = 3 * np.sum(np.square(dense.kernel))
        data = dataset(self.images, self.labels, len(self.images))
        logs = model.fit(data, verbose=0).history
        self.assert_same_up_to_rounding(logs["loss"][0], expected)
        self.assertLess(3 * np.sum(np.square(dense.kernel)), expected)

    def test_the_same_seed_gives_the_same_weights(self):
        results = []
        self.use_deterministic_ops()
        for seed in (1, 1, 2):
            inner = keras.models.clone_model(self.inner)
            inner.set_weights(self.inner.get_weights())
            keras.utils.set_random_seed(seed)
            model = keras_sat.SATModel(inner)
            model.fit(self.data, epochs=2, verbose=0)
            results.append(model.get_weights())
        self.assert_same_bits(results[0], results[1])
        self.assertNotAllClose(results[0][0], results[2][0], atol=1e-6)

    @parameterized.parameters(
        {"run_eagerly": True},
        {"steps_per_execution": 2},
        {"jit_compile": True},
    )
    def test_every_way_to_run_gives_the_same_weights(self, **options):
        results = []
        for chosen in ({}, options):
            keras.utils.set_random_seed(3)
            inner, images, labels = self.tiny_classifier(normalized=False)
            model = keras_sat.SATModel(inner, attack=EVEN)
            start = inner.get_weights()[0]
            model.compile(**chosen)
            model.fit(dataset(images, labels), verbose=0)
            results.append(inner.get_weights())
        self.assertNotAllClose(start, results[0][0], atol=1e-2)
        self.assert_same_up_to_rounding(*results, 4 * STEP)

    def test_accumulated_gradients_make_the_step_of_the_whole_batch(self):
        inner, images, labels = self.tiny_classifier(normalized=False)
        start = inner.get_weights()
        results = []
        for batch_size, steps in ((len(labels), None), (len(labels) // 4, 4)):
            inner.set_weights(start)
            model = keras_sat.SATModel(inner, attack=EVEN)
            model.compile(
                keras.optimizers.SGD(0.1, gradient_accumulation_steps=steps)
            )
            model.fit(dataset(images, labels, batch_size), verbose=0)
            results.append(inner.get_weights())
        self.assertNotAllClose(start[0], results[0][0])
        self.assert_same_up_to_rounding(*results, STEP)

    def test_moving_averages_of_the_weights_are_kept(self):
        model = keras_sat.SATModel(self.inner)
        model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
        seen = []
        model.fit(
            dataset(self.images, self.labels, 16),
            verbose=0,
            callbacks=[
                keras.callbacks.LambdaCallback(
                    on_train_batch_end=lambda batch, logs: seen.append(
                        self.inner.trainable_variables[0].numpy()
                    )
                )
            ],
        )
        # At the end of `fit` Keras puts the average into the weights.
        self.assert_same_up_to_rounding(
            self.inner.trainable_variables[0].numpy(),
            0.5 * seen[0] + 0.5 * seen[1],
            roundings=4,
        )

    @parameterized.parameters("mixed_float16", "mixed_bfloat16")
    def test_mixed_precision_keeps_pixels_exact_and_scales_the_loss(
        self, policy
    ):
        keras.config.set_dtype_policy(policy)
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        inner, images, labels = self.tiny_classifier()
        model = keras_sat.SATModel(inner)
        with_xla = needs_xla(policy.removeprefix("mixed_"))
        model.compile(jit_compile=with_xla)
        is_scaled = isinstance(
            model.optimizer, keras.optimizers.LossScaleOptimizer
        )
        self.assertEqual(is_scaled, policy == "mixed_float16")
        before = inner.get_weights()[0]
        history = model.fit(dataset(images, labels), epochs=3, verbose=0)
        self.assertAllInRange(history.history["loss"], 0, 10)
        self.assertNotAllClose(before, inner.get_weights()[0])
        run = compiled(model.attack, model, jit_compile=with_xla)
        adversarial = run(images, labels, (1, 2))
        self.assertEqual(adversarial.dtype, tf.float32)
        size = model.attack.ball.size(adversarial - images)
        self.assertAllLessEqual(size, 4 / 255 + 1e-6)
        self.assertAllGreaterEqual(size, 3.9 / 255)

    def test_an_infinite_gradient_skips_the_float16_update(self):
        keras.config.set_dtype_policy("mixed_float16")
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        inner, images, labels = self.tiny_classifier()
        model = keras_sat.SATModel(inner)
        weights = np.full(len(labels), 1e30, "float32")
        before = inner.trainable_variables[0].numpy()
        model.fit(dataset(images, labels, 8, weights), verbose=0)
        self.assertAllEqual(before, inner.trainable_variables[0])

    def test_compiled_metrics_see_the_adversarial_logits(self):
        model = keras_sat.SATModel(self.inner)
        metric = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top_2")
        model.compile(metrics=[metric])
        logs = model.evaluate(self.data, return_dict=True, verbose=0)
        self.assertGreaterEqual(logs["top_2"], logs["robust_accuracy"])
        self.assertIn("top_2", model.fit(self.data, verbose=0).history)

    def test_arrays_and_generators_can_be_fitted(self):
        def batches():
            yield self.images[:8], self.labels[:8]
            yield self.images[8:16], self.labels[8:16]

        results = []
        for data in ((self.images[:16], self.labels[:16]), (batches(),)):
            keras.utils.set_random_seed(0)
            inner = self.tiny_classifier(normalized=False)[0]
            model = keras_sat.SATModel(inner, attack=EVEN)
            model.fit(
                *data,
                batch_size=8 if len(data) == 2 else None,
                shuffle=False,
                steps_per_epoch=2,
                verbose=0,
            )
            results.append(model.get_weights())
        self.assert_same_up_to_rounding(*results, 2 * STEP)


def network(activation, units=5):
    """A network whose weights do not depend on its activation."""
    x = keras.Input((8, 8, 3))
    h = keras.layers.Conv2D(4, 3, activation=activation)(x)
    h = keras.layers.BatchNormalization()(h)
    h = keras.layers.GlobalAveragePooling2D()(h)
    return keras.Model(x, keras.layers.Dense(units)(h))


@pytest.mark.numeric
class AttackModelTest(TestCase):
    def test_the_attack_differentiates_the_twin_alone(self):
        def flat(x):
            return tf.stop_gradient(tf.nn.relu(x)) + 0 * x

        _, images, labels = self.tiny_classifier()
        sat = keras_sat.SATModel(
            network("relu"),
            WEAK.replace(random_start=False),
            EVEN,
            attack_model=network(flat),
        )
        # The gradient of the twin is zero: the images stay what they are.
        logits = sat.forward_backward(
            tf.constant(images), labels, None, (1, 2)
        )[1]
        self.assert_same_bits(logits, sat.model(images, training=True))
        logs = sat.evaluate(
            dataset(images, labels), return_dict=True, verbose=0
        )
        alone = keras_sat.SATModel(sat.model, eval_attack=EVEN)
        expected = alone.evaluate(
            dataset(images, labels), return_dict=True, verbose=0
        )
        self.assert_same_up_to_rounding(logs, expected, STEP)

    def test_the_twin_uses_and_keeps_the_weights_of_the_model(self):
        _, images, labels = self.tiny_classifier()
        model, twin = network("relu"), network("silu")
        sat = keras_sat.SATModel(model, attack_model=twin)
        self.assertLen(sat.trainable_variables, 6)
        sat.fit(dataset(images, labels), verbose=0)
        fresh = network("silu")
        fresh.set_weights(model.get_weights())
        self.assert_same_bits(twin(images), fresh(images))
        self.assertNotAllClose(twin(images), model(images))

    def test_the_weights_are_still_shared_after_loading(self):
        _, images, labels = self.tiny_classifier()
        sat = keras_sat.SATModel(network("relu"), attack_model=network("silu"))
        sat.fit(dataset(images, labels), verbose=0)
        path = os.path.join(self.get_temp_dir(), "model.keras")
        sat.save(path)
        loaded = keras_sat.load_model(path)
        self.assert_same_bits(loaded(images), sat(images))
        self.assert_same_bits(
            loaded.attack_model(images), sat.attack_model(images)
        )
        loaded.fit(dataset(images, labels), verbose=0)
        for one, two in zip(
            loaded.model.weights, loaded.attack_model.weights, strict=True
        ):
            self.assertIs(one, two)

    def test_a_twin_with_other_weights_is_refused(self):
        with self.assertRaisesRegex(
            ValueError,
            r"`attack_model` must have weights of the same shapes .*Received "
            r".*kernel \(4, 6\) for .*kernel \(4, 5\)",
        ):
            keras_sat.SATModel(network("relu"), attack_model=network("relu", 6))


@pytest.mark.numeric
class SavingTest(TestCase):
    @parameterized.parameters("model.keras", "model.weights.h5")
    def test_a_model_that_was_not_trained_is_saved_whole(self, name):
        inner, images, _ = self.tiny_classifier()
        model = keras_sat.SATModel(inner)
        path = os.path.join(self.get_temp_dir(), name)
        # Warnings of Keras, of an optimizer without state, are errors here.
        if name.endswith(".keras"):
            model.save(path)
            loaded = keras_sat.load_model(path)
        else:
            model.save_weights(path)
            loaded = keras_sat.SATModel(self.tiny_classifier(seed=1)[0])
            loaded.load_weights(path)
        self.assert_same_bits(loaded(images), model(images))

    def test_save_and_load_give_the_same_object(self):
        inner, images, labels = self.tiny_classifier()
        model = keras_sat.SATModel(
            inner,
            attack=keras_sat.PGD(epsilon=0.07, norm="l2"),
            eval_attack=keras_sat.PGD(epsilon=0.03, restarts=2),
            objective=keras_sat.TRADES(beta=3.0),
        )
        model.compile("adam", weight_decay=0.25)
        path = os.path.join(self.get_temp_dir(), "model.keras")
        with self.deterministic():
            model.fit(dataset(images, labels), verbose=0)
            model.save(path)
            loaded = keras_sat.load_model(path)
            self.assertIsInstance(loaded, keras_sat.SATModel)
            for name in ("attack", "eval_attack", "objective", "weight_decay"):
                self.assertEqual(getattr(loaded, name), getattr(model, name))
            self.assertAllEqual(loaded(images), model(images))
            self.assert_goes_on_like(loaded, model, images, labels)

    def assert_goes_on_like(self, loaded, model, images, labels):
        """Checks that two models evaluate and train to the same bits."""
        results = []
        for number, one in enumerate((model, loaded)):
            # Nothing may depend on the seed that is set afterwards.
            keras.utils.set_random_seed(number)
            data = dataset(images, labels)
            logs = one.evaluate(data, verbose=0)
            history = one.fit(data, epochs=2, verbose=0).history
            values = [logs, *history.values(), *one.get_weights()]
            results.append([*values, *map(np.asarray, one.optimizer.variables)])
        self.assert_same_bits(*results)

    def noisy(self, **options):
        """A model with noise in attacks, objective, network and twin."""

        def network():
            x = keras.Input((8, 8, 3))
            h = keras.layers.GaussianNoise(0.1)(x)
            h = keras.layers.Conv2D(4, 3, activation="silu")(h)
            h = keras.layers.BatchNormalization()(h)
            h = keras.layers.GlobalAveragePooling2D()(h)
            # Nested, as blocks of a network may be.
            h = keras.Sequential([keras.layers.Dropout(0.3)])(h)
            return keras.Model(x, keras.layers.Dense(5)(h))

        model = keras_sat.SATModel(
            network(),
            attack=WEAK,
            # A radius that changes the class of some images and not of others.
            eval_attack=WEAK.replace(epsilon=0.2, step_size=0.1),
            attack_model=network(),
            **options,
        )
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True))
        return model

    @parameterized.parameters(
        "keras_sat.load_model", "keras.saving.load_model", "load_weights"
    )
    def test_all_noise_goes_on_where_it_was(self, how):
        _, images, labels = self.tiny_classifier()
        keras.utils.set_random_seed(1)
        model = self.noisy()
        name = "a.weights.h5" if how == "load_weights" else "a.keras"
        path = os.path.join(self.get_temp_dir(), name)
        with self.deterministic():
            model.fit(dataset(images, labels), verbose=0)
            if how == "load_weights":
                model.save_weights(path)
                loaded = self.noisy()
                loaded.load_weights(path)
            else:
                model.save(path)
                owner = keras_sat if "sat" in how else keras.saving
                loaded = owner.load_model(path)
            self.assert_goes_on_like(loaded, model, images, labels)

    def test_weights_go_into_a_network_without_its_noise(self):
        _, images, _ = self.tiny_classifier()
        model = self.noisy()
        path = os.path.join(self.get_temp_dir(), "a.weights.h5")
        model.save_weights(path)
        x = keras.Input((8, 8, 3))
        h = keras.layers.Conv2D(4, 3, activation="silu")(x)
        h = keras.layers.BatchNormalization()(h)
        h = keras.layers.GlobalAveragePooling2D()(h)
        other = keras_sat.SATModel(keras.Model(x, keras.layers.Dense(5)(h)))
        with self.assertLogs("absl", level="WARNING") as logs:
            with self.assertWarnsRegex(UserWarning, "for optimizer"):
                other.load_weights(path)
        self.assertRegex(logs.output[0], "starts anew: there are 2 .* and 0 in")
        self.assertAllEqual(other(images), model(images))
        for name in ("seeds", "eval_seeds"):
            self.assertAllEqual(
                getattr(other, name).state, getattr(model, name).state
            )

    def test_files_from_before_states_of_noise_were_saved_are_loaded(self):
        path = FIXTURES / "sat_model_without_seeds.keras"
        loaded = keras_sat.load_model(path)
        for weight in loaded.model.get_weights():
            expected = np.linspace(0.5, 1, weight.size).reshape(weight.shape)
            self.assertAllClose(weight, expected, rtol=1e-6)
        self.assertEqual(int(loaded.optimizer.iterations), 2)
        images = np.linspace(0, 1, 64, dtype="float32").reshape(4, 4, 4, 1)
        before = [np.array(g.state) for g in (loaded.seeds, loaded.eval_seeds)]
        loaded.evaluate(images, np.arange(4) % 3, verbose=0)
        loaded.fit(images, np.arange(4) % 3, verbose=0)
        self.assertEqual(int(loaded.optimizer.iterations), 3)
        after = [np.array(g.state) for g in (loaded.seeds, loaded.eval_seeds)]
        self.assertNotAllEqual(before, after)

    def test_from_config_makes_what_get_config_described(self):
        inner, images, labels = self.tiny_classifier()
        model = keras_sat.SATModel(
            inner,
            attack=WEAK,
            objective=keras_sat.TRADES(beta=2.0),
            attack_model=keras.models.clone_model(inner),
            value_range=(-1, 1),
        )
        described = model.get_config()
        text = json.dumps(described)
        again = keras_sat.SATModel.from_config(described)
        self.assertEqual(json.dumps(described), text)
        self.assertEqual(json.dumps(again.get_config()), text)
        self.assertEqual(again.attack, model.attack)
        self.assertEqual(again.objective, model.objective)
        again.fit(images, labels, verbose=0)
        kernels = again.model.layers[1].kernel, again.attack_model.layers[1]
        self.assertIs(kernels[0], kernels[1].kernel)
        self.assertNotAllClose(kernels[0], inner.layers[1].kernel)

    def test_weights_can_be_saved_alone(self):
        path = os.path.join(self.get_temp_dir(), "a.weights.h5")
        inner, images, labels = self.tiny_classifier()
        model = keras_sat.SATModel(inner)
        model.fit(dataset(images, labels), verbose=0)
        model.save_weights(path)
        other = keras_sat.SATModel(self.tiny_classifier()[0])
        self.assertNotAllClose(model(images), other(images))
        other.load_weights(path)
        self.assert_same_bits(model(images), other(images))

    def test_a_process_with_only_tensorflow_can_serve_the_export(self):
        inner, images, _ = self.tiny_classifier()
        folder = self.get_temp_dir()
        path = os.path.join(folder, "exported")
        keras_sat.SATModel(inner).export(path, verbose=False)
        np.save(os.path.join(folder, "images.npy"), images)
        script = (
            "import sys, numpy, tensorflow as tf\n"
            "sys.modules['keras'] = sys.modules['keras_sat'] = None\n"
            f"model = tf.saved_model.load({path!r})\n"
            f"images = numpy.load({folder!r} + '/images.npy')\n"
            "one = model.serve(images[:1]).numpy()\n"
            "logits = model.serve(images).numpy()\n"
            f"numpy.savez({folder!r} + '/logits.npz', logits, one)\n"
        )
        subprocess.run([sys.executable, "-c", script], check=True, cwd=folder)
        with np.load(os.path.join(folder, "logits.npz")) as file:
            logits, one = file["arr_0"], file["arr_1"]
        self.assert_same_up_to_rounding(logits, inner(images))
        self.assert_same_up_to_rounding(one, logits[:1])

    def test_another_kind_of_file_is_refused(self):
        folder = self.get_temp_dir()
        text = os.path.join(folder, "text.keras")
        with open(text, "w") as file:
            file.write("not a model")
        other = os.path.join(folder, "other.keras")
        self.tiny_classifier()[0].save(other)
        for path, received in (
            (text, "path='.*text.keras'"),
            (other, "a Functional in '.*other.keras'"),
            (folder + "/none.keras", "path='.*none.keras'"),
        ):
            with self.assertRaisesRegex(
                ValueError, "`path` must be a `.keras` file .*" + received
            ):
                keras_sat.load_model(path)


def images_like(shape=(4, 8, 8, 3), dtype="float32"):
    return np.full(shape, 0.5).astype(dtype)


BAD_DATA = {
    "grey levels as floats": (
        images_like() * 255,
        np.zeros(4, int),
        r"`images` must lie in `value_range`=\(0.0, 1.0\). Received values in "
        r"\[127.5, 127.5\]. Divide the images by 255, or pass uint8.",
    ),
    "normalized images": (
        images_like() * -2,
        np.zeros(4, int),
        "`images` must lie in .*Undo the normalization",
    ),
    "nan": (
        images_like() * np.nan,
        np.zeros(4, int),
        "`images` must be finite. Received NaN or infinite values.",
    ),
    "infinity": (
        images_like() * np.inf,
        np.zeros(4, int),
        "`images` must be finite",
    ),
    "rank": (
        images_like((4, 8, 8)),
        np.zeros(4, int),
        r"`images` must have the shape \(batch, 8, 8, 3\). Received shape "
        r"\(4, 8, 8\)",
    ),
    "channels": (
        images_like((4, 8, 8, 1)),
        np.zeros(4, int),
        r"`images` must have the shape \(batch, 8, 8, 3\)",
    ),
    "int32": (
        images_like(dtype="int32"),
        np.zeros(4, int),
        "`images` must be float, in `value_range`, or uint8. Received dtype "
        "int32. Cast the images to uint8",
    ),
    "negative class": (
        images_like(),
        np.full(4, -1),
        r"`labels` must lie in \[0, num_classes=5\). Received class ids from "
        "-1 to -1",
    ),
    "large class": (
        images_like(),
        np.full(4, 5),
        r"`labels` must lie in \[0, num_classes=5\). Received.*from 5 to 5",
    ),
    "column of floats": (
        images_like(),
        np.zeros((4, 1)),
        "`labels` must be int class ids.*shape.*Cast class ids to int",
    ),
    "rank 3": (
        images_like(),
        np.zeros((4, 5, 1)),
        "`labels` must be int class",
    ),
    "narrow one-hot": (
        images_like(),
        np.eye(4),
        r"`labels` must have the shape \(batch, 5\).*Received.*\(4, 4\)",
    ),
    "float ids": (
        images_like(),
        np.zeros(4, "float32"),
        "`labels` must be int class ids.*dtype float32.*Cast class ids to int",
    ),
    "no probabilities": (
        images_like(),
        np.ones((4, 5)),
        "`labels` must be probabilities that sum to 1 .*sums from 5 to 5",
    ),
    "too few labels": (
        images_like(),
        np.zeros(3, int),
        r"`labels` must have one entry for each of the 4 images. .*\(3,\)",
    ),
}


class BadInputTest(TestCase):
    def setUp(self):
        super().setUp()
        self.model = keras_sat.SATModel(self.tiny_classifier()[0])

    @parameterized.named_parameters(
        (name.replace(" ", "_"), *case) for name, case in BAD_DATA.items()
    )
    def test_bad_data_is_refused(self, images, labels, message):
        kind = TypeError if images.dtype == "int32" else ValueError
        good = dataset(images_like(), np.zeros(4, int))
        with self.assertRaisesRegex(kind, message):
            self.model.fit(images, labels, verbose=0)
        with self.assertRaisesRegex(kind, message):
            self.model.evaluate(images, labels, verbose=0)
        with self.assertRaisesRegex(kind, message):
            self.model.fit(good, validation_data=(images, labels), verbose=0)
        if len(images) == len(labels):
            with self.assertRaisesRegex(kind, message):
                self.model.fit(dataset(images, labels), verbose=0)

    def test_an_empty_dataset_is_refused(self):
        empty = dataset(images_like(), np.zeros(4, int)).take(0)
        with self.assertRaisesRegex(
            ValueError, "`dataset` must not be empty. Received no batch."
        ):
            self.model.fit(empty)

    def test_a_dataset_without_labels_is_refused(self):
        images = tf.data.Dataset.from_tensor_slices(images_like()).batch(2)
        for data in (images, images_like()):
            with self.assertRaisesRegex(
                ValueError,
                r"`dataset` must give batches \(images, labels\). Received "
                "batches without labels.",
            ):
                self.model.fit(data)

    def test_several_inputs_are_refused(self):
        with self.assertRaisesRegex(
            TypeError, "`images` must be a single array. Received a dict"
        ):
            self.model.fit({"a": images_like()}, np.zeros(4, int))

    def test_validation_data_of_four_parts_are_refused(self):
        images, labels = images_like(), np.zeros(4, int)
        with self.assertRaisesRegex(ValueError, "Received tuples of 4"):
            self.model.fit(
                images, labels, validation_data=(images, labels, None, 1)
            )

    @parameterized.parameters(
        "fit",
        "evaluate",
        "predict",
        "train_on_batch",
        "test_on_batch",
        "predict_on_batch",
    )
    def test_probabilities_made_by_hand_are_found_in_the_first_batch(self, do):
        base = self.tiny_classifier()[0]
        powers = keras.ops.exp(base.output)
        sums = keras.ops.sum(powers, axis=1, keepdims=True)
        model = keras_sat.SATModel(keras.Model(base.input, powers / sums))
        images = np.random.default_rng(0).uniform(size=(4, 8, 8, 3))
        labels = () if "predict" in do else (np.zeros(4, int),)
        with self.assertRaisesRegex(ValueError, "`model` must return logits"):
            getattr(model, do)(images.astype("float32"), *labels)

    def test_a_range_that_the_network_scales_itself_is_refused(self):
        base = self.tiny_classifier()[0]
        inputs = keras.Input((8, 8, 3))
        scaled = keras.layers.Rescaling(1 / 255, name="scale")(inputs)
        network = keras.Model(inputs, base(scaled))
        images, labels = images_like(dtype="uint8"), np.zeros(4, int)
        message = "`value_range` must be .* layer 'scale'.*=\\(0, 255\\)`"
        for action in (
            lambda: keras_sat.SATModel(network),
            lambda: keras_sat.FGSM()(network, images, labels),
            lambda: keras_sat.evaluate_robustness(network, (images, labels)),
        ):
            with self.assertRaisesRegex(ValueError, message):
                action()
        model = keras_sat.SATModel(network, value_range=(0, 255))
        self.assertLen(model.predict(images, verbose=0), 4)

    def test_predict_refuses_images_out_of_range(self):
        with self.assertRaisesRegex(ValueError, "`images` must lie in"):
            self.model.predict(images_like() * 255)

    @parameterized.parameters("activation", "layer", "operation", "nested")
    def test_a_model_that_ends_in_softmax_is_refused(self, how):
        x = keras.Input((8, 8, 3))
        h = keras.layers.Flatten()(x)
        if how == "activation":
            h = keras.layers.Dense(5, activation="softmax")(h)
        elif how == "layer":
            h = keras.layers.Softmax()(keras.layers.Dense(5)(h))
        else:
            h = keras.ops.softmax(keras.layers.Dense(5)(h))
        model = keras.Model(x, h)
        if how == "nested":
            model = keras.Sequential([x, model])
        with self.assertRaisesRegex(
            ValueError,
            "`model` must return logits. Received outputs that sum to 1. Build "
            "it with `classifier_activation=None`.",
        ):
            keras_sat.SATModel(model)

    def test_an_unbuilt_model_is_refused(self):
        with self.assertRaisesRegex(
            ValueError, "`model` must be built. Received.*Give it a keras.Input"
        ):
            keras_sat.SATModel(keras.Sequential([keras.layers.Dense(5)]))

    def test_a_model_with_two_outputs_is_refused(self):
        x = keras.Input((8,))
        y = keras.layers.Dense(5)(x)
        with self.assertRaisesRegex(
            ValueError, "`model` must have one output.*Received 2 outputs"
        ):
            keras_sat.SATModel(keras.Model(x, [y, y]))

    def test_a_model_with_feature_maps_is_refused(self):
        x = keras.Input((8, 8, 3))
        with self.assertRaisesRegex(
            ValueError, r"`model` must return logits of the shape \(batch, num"
        ):
            keras_sat.SATModel(keras.Model(x, keras.layers.Conv2D(5, 3)(x)))

    def test_what_is_no_model_is_refused(self):
        with self.assertRaisesRegex(TypeError, "`model` must be a keras.Model"):
            keras_sat.SATModel(lambda images: images)

    def test_a_negative_weight_decay_is_refused(self):
        with self.assertRaisesRegex(
            ValueError, "`weight_decay` must be at least 0. Received.*-1"
        ):
            self.model.compile(weight_decay=-1)

"""Tests of `keras_sat.SATModel`: the step, `fit` and `evaluate`."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.attacks.compiled import compiled
from keras_sat.weights.decay import kernels
from tests.test_case import PASS
from tests.test_case import TestCase
from tests.test_case import needs_xla
from tests.training.problems import EVEN
from tests.training.problems import STEP
from tests.training.problems import WEAK
from tests.training.problems import TrainingTestCase
from tests.training.problems import dataset
from tests.training.problems import network

pytestmark = pytest.mark.numeric


class Recorder(keras.layers.Layer):
    """Counts the calls in each mode, to see who runs the network how."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.training_calls = self.add_weight((), "zeros", trainable=False)

    def call(self, x, training=False):
        if training:
            self.training_calls.assign_add(1.0)
        return x


class FitTest(TrainingTestCase):
    def test_the_two_lines_work_without_compile(self):
        model = keras_sat.SATModel(self.inner)
        history = model.fit(self.data, epochs=2, verbose=0).history
        self.assertEqual(set(history), {"loss", "robust_accuracy"})
        self.assertAllInRange(history["robust_accuracy"], 0, 1)

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
        (_, logits, *_), _ = sat.forward_backward(
            tf.constant(images), labels, None, (1, 2)
        )
        self.assert_same_bits(logits, sat.model(images, training=True))
        logs = sat.evaluate(
            dataset(images, labels), return_dict=True, verbose=0
        )
        alone = keras_sat.SATModel(sat.model, eval_attack=EVEN)
        expected = alone.evaluate(
            dataset(images, labels), return_dict=True, verbose=0
        )
        self.assert_same_up_to_rounding(logs, expected, STEP)


class BadModelTest(TestCase):
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

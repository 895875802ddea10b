"""Tests of XLA in the steps of training."""

import os

import keras
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.distribution import xla
from tests.processes import finish
from tests.processes import start_anew
from tests.test_case import TestCase
from tests.training.replicas import STEP


class Counted(keras_sat.PGD):
    """Counts how often it is traced."""

    traces = []

    def perturb(self, *arguments):
        self.traces.append(self)
        return super().perturb(*arguments)


class XLATest(TestCase):
    def setUp(self):
        super().setUp()
        self.inner, self.images, self.labels = self.tiny_classifier()
        Counted.traces.clear()

    def data(self, count=32, **options):
        parts = self.images[:count], self.labels[:count]
        return tf.data.Dataset.from_tensor_slices(parts).batch(10, **options)

    @parameterized.parameters(True, False)
    @pytest.mark.large
    def test_an_epoch_is_traced_once(self, drop_remainder):
        model = keras_sat.SATModel(
            self.inner, attack=Counted(steps=2), eval_attack=Counted(steps=3)
        )
        model.compile(jit_compile=True)
        self.assertFalse(model.jit_compile)
        data = self.data(drop_remainder=drop_remainder)
        model.fit(data, epochs=2, verbose=0)
        self.assertEqual([a.steps for a in Counted.traces], [2])
        model.evaluate(data, verbose=0)
        model.evaluate(data, verbose=0)
        self.assertEqual([a.steps for a in Counted.traces], [2, 3])

    @pytest.mark.large
    def test_each_size_of_batch_is_compiled_once(self):
        _, errors = finish(
            start_anew(
                "xla",
                TF_CPP_MIN_LOG_LEVEL="0",
                TF_CPP_VMODULE="device_compiler=1,device_compilation_profiler=1",
            )
        )
        compilations = [
            line for line in errors.splitlines() if "times, compile" in line
        ]
        # Those of 10 and of 2 images, in training and in evaluation, and the
        # two images whose outputs are looked at.
        self.assertLen(compilations, 5, "\n".join(compilations))

    @pytest.mark.numeric
    def test_the_whole_train_step_compiles_with_static_shapes(self):
        results = []
        for jit_compile in (False, True):
            keras.utils.set_random_seed(0)
            inner = self.tiny_classifier()[0]
            attack = keras_sat.PGD(
                epsilon=0.3,
                step_size=0.2,
                steps=2,
                norm="l2",
                random_start=False,
            )
            model = keras_sat.SATModel(inner, attack=attack)
            model.compile(keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True))
            model.build_optimizer()
            # All of it, as a TPU does: metrics and optimizer, too.
            step = tf.function(
                lambda x, y, model=model: model.train_step((x, y)),
                jit_compile=jit_compile,
                autograph=False,
            )
            shapes = set()
            for images, labels in self.data(drop_remainder=True):
                logs = step(images, labels)
                shapes.add(tuple(images.shape))
            self.assertEqual(shapes, {(10, 8, 8, 3)})
            self.assertEqual(step.experimental_get_tracing_count(), 1)
            results.append([*model.get_weights(), logs["loss"]])
        self.assert_same_up_to_rounding(*results, 3 * STEP)

    def test_eager_steps_are_not_compiled(self):
        model = keras_sat.SATModel(self.inner)
        model.compile(jit_compile=True, run_eagerly=True)
        self.assertIs(model.with_xla(len), len)

    @pytest.mark.large
    def test_the_choice_is_saved(self):
        model = keras_sat.SATModel(self.inner)
        model.compile(jit_compile=True)
        model.fit(self.data(), verbose=0)
        path = os.path.join(self.get_temp_dir(), "model.keras")
        model.save(path)
        loaded = keras_sat.load_model(path)
        self.assertIs(loaded.get_compile_config()["jit_compile"], True)

    def failing(self, state, always=False):
        """Returns a function that changes a state, and fails the first time.

        With it comes the list of the states that its calls began with.
        """
        calls = []

        def run():
            calls.append(state.numpy())
            state.assign_add(5)
            if len(calls) == 1 or always:
                raise xla.CannotCompile("the layer 'a' (A)")
            return "done"

        return run, calls

    def test_training_starts_again_from_the_state_that_it_had(self):
        model = keras_sat.SATModel(self.inner)
        model.compile(jit_compile="auto")
        model.build_optimizer()
        for state in model.step_state():
            # As on an accelerator.
            model._use_xla = True
            before = state.numpy()
            run, calls = self.failing(state)
            self.assertEqual(model._with_or_without_xla(run), "done")
            self.assertAllEqual(calls, [before, before])
            self.assertIs(model.with_xla(len), len)

    def test_a_generator_cannot_be_read_again(self):
        model = keras_sat.SATModel(self.inner)
        model.build_optimizer()
        model._use_xla = True
        run, calls = self.failing(model.optimizer.iterations)
        with self.assertRaisesRegex(
            ValueError, "`jit_compile` must be False or 'auto' for what XLA"
        ):
            model._with_or_without_xla(run, (batch for batch in ()))
        self.assertLen(calls, 1)

import json
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from tests.processes import finish
from tests.processes import start
from tests.processes import start_anew
from tests.processes import start_workers
from tests.test_case import PASS
from tests.test_case import TestCase
from tests.test_case import needs_xla

# The operations of a step with two steps of an attack, which are three
# gradients, and the update.
STEP = 8 * PASS


class ReplicasTest(TestCase):
    def assert_same_files(self, path, other, steps=10):
        """Checks what came out of some steps of training."""
        with np.load(path) as one, np.load(other) as two:
            self.assertGreater(len(two.files), 8)
            self.assertContainsSubset(two.files, one.files)
            for name in two.files:
                self.assert_same_up_to_rounding(
                    one[name], two[name], steps * STEP, scale=1
                )

    def train_on(self, devices):
        path = os.path.join(self.get_temp_dir(), f"{devices}.npz")
        program = start("replicas", f"--devices={devices}", f"--path={path}")
        finish(program, seconds=600)
        return path

    @pytest.mark.large
    def test_two_and_four_replicas_train_and_evaluate_like_one(self):
        one = self.train_on(1)
        for devices in (2, 4):
            self.assert_same_files(one, self.train_on(devices))

    @pytest.mark.numeric
    @pytest.mark.large
    def test_what_only_several_replicas_can_get_wrong(self):
        half = "float16" if needs_xla("bfloat16") else "bfloat16"
        options = "--devices=2", f"--policy=mixed_{half}"
        output, _ = finish(start("replicas", *options))
        found = json.loads(output)
        first, again, other = found["noise"]
        self.assertEqual(first, again)
        self.assertLen({*first, *other}, 4)
        means = found["statistics"]
        for mean in means["found"]:
            self.assert_same_up_to_rounding(mean, means["expected"], STEP)
        # An infinity on the second replica only.
        self.assertAllEqual(found["infinity"]["same"], [True] * 6)
        before, after = found["infinity"]["scales"]
        self.assertEqual(after, before / 2)
        first, last = found["mixed_precision"]
        self.assertLess(last, first)
        self.assertAllEqual(found["rest"], [True] * 8)
        expected, *losses = found["distributed"]
        self.assert_same_up_to_rounding(losses, [expected] * 2, STEP)
        for name, expected in {
            "accumulation": "`gradient_accumulation_steps` must be None on sev",
            "overwriting": "`ema_overwrite_frequency` must be None on several",
            "batch": "`batch_size` must be a multiple of .* 2. Received.*=7",
            "late": "`images` must be finite.* This is batch 1, counted from 0",
            "arrays": "`the last batch` must be a multiple of .* 2. Received",
        }.items():
            self.assertRegex(found["refused"][name], expected)
        self.assert_refused_outside(found["outside"])

    def assert_refused_outside(self, messages):
        built = {
            "model": "kernel', built outside of the MirroredStrategy",
            "SATModel": "kernel', built outside of the _Default",
            "optimizer": "iteration', built outside of the Mirrored",
            "metrics": "total', built outside of the Mirrored",
        }
        data = "`dataset` must be distributed by the strategy of the model, or"
        scope = "`model` must be used in the scope of the strategy it was built"
        expected = {
            name: f"must be built in the scope of the strategy.*{variable}"
            for name, variable in built.items()
        }
        for name in ("fit", "evaluate", "predict"):
            expected |= {f"{name} data": data, name: scope}
        expected["evaluate_robustness"] = scope
        self.assertEqual(messages.keys(), expected.keys())
        for name, message in messages.items():
            self.assertRegex(message, expected[name])

    @pytest.mark.numeric
    def test_two_workers_do_what_one_process_does(self):
        folder = self.get_temp_dir()
        path = os.path.join(folder, "{i}.npz")
        workers = start_workers(
            "worker", f"--path={path}", f"--directory={folder}/run"
        )
        alone = start("worker", f"--path={path.format(i='alone')}")
        outputs = [finish(worker)[0] for worker in workers]
        finish(alone)
        self.assert_same_files(path.format(i=0), path.format(i=1), steps=0)
        self.assert_same_files(path.format(i=0), path.format(i="alone"))
        # Only the chief wrote, and whole files.
        self.assertEqual(
            sorted(os.listdir(os.path.join(folder, "run"))),
            [
                "checkpoint-000001-00000004.npz",
                "checkpoint-000002-00000000.npz",
            ],
        )
        for output in outputs:
            found = json.loads(output.splitlines()[-1])
            self.assertNotEqual(
                found["keras"],
                "no error",
                "Keras fits on several workers by itself (keras-team/keras"
                "#20585): remove keras_sat/worker_gaps.py.",
            )
            self.assertRegex(
                found["state_path"],
                "`state_path` must be None on several workers",
            )

    @pytest.mark.large
    def test_workers_share_statistics_and_clipped_gradients(self):
        path = os.path.join(self.get_temp_dir(), "{i}.npz")
        options = [f"--path={path}", "--own_statistics", "--clipnorm=0.01"]
        for worker in start_workers("worker", *options):
            finish(worker)
        self.assert_same_files(path.format(i=0), path.format(i=1), steps=0)
        with np.load(path.format(i=0)) as found:
            # Mean and variance of the batch normalization, from 0 and 1.
            for weight in (found["weight 4"], found["weight 5"]):
                self.assertNotAllClose(weight, np.round(weight), atol=1e-3)

    @pytest.mark.large
    def test_a_worker_that_is_lost_ends_the_others_and_all_go_on(self):
        folder = self.get_temp_dir()
        path = os.path.join(folder, "{i}.npz")
        command = [
            "worker",
            f"--path={path}",
            f"--directory={folder}/run",
            "--epochs=40",
            "--only_fit",
        ]
        survivor, lost = start_workers(*command)
        for _ in range(3):
            self.assertEqual(lost.stdout.readline(), "training\n")
        lost.kill()
        lost.communicate()
        _, errors = finish(survivor, code=1, seconds=60)
        self.assertRegex(
            errors, "must reach all workers.*Start all workers again"
        )
        for worker in start_workers(*command):
            finish(worker)
        self.assert_same_files(path.format(i=0), path.format(i=1), steps=0)
        with np.load(path.format(i=0)) as found:
            self.assertBetween(len(found["fit loss"]), 1, 38)

    def test_workers_with_different_recipes_are_told_so(self):
        path = os.path.join(self.get_temp_dir(), "{i}.npz")
        workers = start_workers(
            "worker", f"--path={path}", "--only_fit", "--steps=2{i}"
        )
        for i, worker in enumerate(workers):
            _, errors = finish(worker, code=1)
            self.assertRegex(
                errors,
                "`attack` must be the same on all workers. Received 2 different"
                f" ones; here: .*steps=2{i}.*Start every worker by the same",
            )


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

    def test_the_choice_is_saved(self):
        model = keras_sat.SATModel(self.inner)
        model.compile(jit_compile=True)
        model.fit(self.data(), verbose=0)
        path = os.path.join(self.get_temp_dir(), "model.keras")
        model.save(path)
        loaded = keras_sat.load_model(path)
        self.assertIs(loaded.get_compile_config()["jit_compile"], True)

    def test_a_loss_scale_survives_another_fit(self):
        keras.config.set_dtype_policy("mixed_float16")
        x = keras.Input((8, 8, 3))
        h = keras.layers.GlobalAveragePooling2D()(x)
        inner = keras.Model(x, keras.layers.Dense(5)(h))
        model = keras_sat.SATModel(inner)
        model.fit(self.data(), verbose=0)
        model.optimizer.dynamic_scale.assign(8.0)
        model.fit(self.data(), verbose=0)
        self.assertEqual(float(model.optimizer.dynamic_scale), 8.0)

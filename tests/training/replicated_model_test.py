"""Tests of models that several replicas and several workers train."""

import json
import os
import pathlib
import tempfile

import keras
import pytest
import tensorflow as tf

import keras_sat
from keras_sat.training import replicated_model
from tests.processes import finish
from tests.processes import start
from tests.processes import start_workers
from tests.test_case import TestCase
from tests.test_case import needs_xla
from tests.training.problems import dataset
from tests.training.replicas import STEP
from tests.training.replicas import ReplicasTestCase


@pytest.mark.large
class ReplicasTest(ReplicasTestCase):
    """Compares the same training on one device and on several."""

    def train_on(self, devices):
        path = os.path.join(self.get_temp_dir(), f"{devices}.npz")
        program = start("replicas", f"--devices={devices}", f"--path={path}")
        finish(program, seconds=600)
        return path

    def test_two_and_four_replicas_train_and_evaluate_like_one(self):
        one = self.train_on(1)
        for devices in (2, 4):
            self.assert_same_files(one, self.train_on(devices))


@pytest.mark.numeric
@pytest.mark.large
class TwoReplicasTest(TestCase):
    """Facts that only several replicas can get wrong, of one run."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        half = "float16" if needs_xla("bfloat16") else "bfloat16"
        options = "--devices=2", f"--policy=mixed_{half}"
        output, _ = finish(start("replicas", *options))
        cls.found = json.loads(output.splitlines()[-1])

    def test_replicas_draw_other_noise_and_the_same_for_a_seed(self):
        first, again, other = self.found["noise"]
        self.assertEqual(first, again)
        self.assertLen({*first, *other}, 4)

    def test_statistics_of_their_own_are_averaged(self):
        means = self.found["statistics"]
        self.assertLen(means["found"], 2)
        for mean in means["found"]:
            self.assert_same_up_to_rounding(mean, means["expected"], STEP)

    def test_an_infinity_on_the_second_replica_is_no_step_for_both(self):
        self.assertAllEqual(self.found["infinity"]["same"], [True] * 6)
        before, after = self.found["infinity"]["scales"]
        self.assertEqual(after, before / 2)

    def test_mixed_precision_lowers_the_loss(self):
        first, last = self.found["mixed_precision"]
        self.assertLess(last, first)

    def test_a_last_batch_of_one_image_changes_no_weight(self):
        self.assertAllEqual(self.found["rest"], [True] * 8)

    def test_data_may_be_distributed_by_anyone(self):
        expected, *losses = self.found["distributed"]
        self.assert_same_up_to_rounding(losses, [expected] * 2, STEP)

    def assert_messages(self, found, expected):
        self.assertEqual(found.keys(), expected.keys())
        for name, message in found.items():
            self.assertRegex(message, expected[name], name)

    def test_what_replicas_cannot_do_is_refused(self):
        self.assert_messages(
            self.found["refused"],
            {
                "accumulation": "`gradient_accumulation_steps` must be None on "
                "sev",
                "overwriting": "`ema_overwrite_frequency` must be None on "
                "several",
                "batch": "`batch_size` must be a multiple of .* 2. Received.*"
                "=7",
                "arrays": "`the last batch` must be a multiple of .* 2. "
                "Received",
            },
        )

    def test_a_bad_batch_is_named_as_on_one_replica(self):
        self.assertRegex(
            self.found["late"],
            "`images` must be finite.* This is batch 1, counted from 0",
        )

    def test_what_was_built_outside_of_the_scope_is_refused(self):
        expected = {
            "model": "kernel', built outside of the MirroredStrategy",
            "SATModel": "kernel', built outside of the _Default",
            "optimizer": "iteration', built outside of the Mirrored",
            "metrics": "total', built outside of the Mirrored",
        }
        self.assert_messages(
            self.found["built outside"],
            {
                name: f"must be built in the scope of the strategy.*{variable}"
                for name, variable in expected.items()
            },
        )

    def test_data_of_another_strategy_are_refused(self):
        message = (
            "`dataset` must be distributed by the strategy of the model, or"
        )
        self.assert_messages(
            self.found["data of another strategy"],
            dict.fromkeys(("fit", "evaluate", "predict"), message),
        )

    def test_a_model_in_the_scope_of_another_strategy_is_refused(self):
        message = (
            "`model` must be used in the scope of the strategy it was built"
        )
        names = "fit", "evaluate", "predict", "evaluate_robustness"
        self.assert_messages(
            self.found["scope of another strategy"],
            dict.fromkeys(names, message),
        )


@pytest.mark.numeric
class TwoWorkersTest(ReplicasTestCase):
    """Facts about two workers and a process alone, of one run of each."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.folder = pathlib.Path(folder)
        workers = start_workers(
            "worker", f"--path={folder}/{{i}}.npz", f"--directory={folder}/run"
        )
        alone = start("worker", f"--path={folder}/alone.npz")
        outputs = [finish(worker)[0] for worker in workers]
        finish(alone)
        cls.found = [json.loads(out.splitlines()[-1]) for out in outputs]

    def test_two_workers_do_what_one_process_does(self):
        paths = [self.folder / f"{name}.npz" for name in (0, 1, "alone")]
        self.assert_same_files(paths[0], paths[1], steps=0)
        self.assert_same_files(paths[0], paths[2])

    def test_only_the_chief_writes_and_whole_files(self):
        self.assertEqual(
            sorted(os.listdir(self.folder / "run")),
            [
                "checkpoint-000001-00000004.npz",
                "checkpoint-000002-00000000.npz",
            ],
        )

    def test_keras_still_needs_to_be_corrected(self):
        for found in self.found:
            self.assertNotEqual(
                found["keras"],
                "no error",
                "Keras fits on several workers by itself (keras-team/keras"
                "#20585): remove that part of keras_sat/training/keras_gaps.py"
                ".",
            )

    def test_an_evaluation_that_all_would_write_is_refused(self):
        for found in self.found:
            self.assertRegex(
                found["state_path"],
                "`state_path` must be None on several workers",
            )


class OneReplicaTest(TestCase):
    def test_a_loss_scale_survives_another_fit(self):
        _, images, labels = self.tiny_classifier()
        keras.config.set_dtype_policy("mixed_float16")
        x = keras.Input((8, 8, 3))
        h = keras.layers.GlobalAveragePooling2D()(x)
        inner = keras.Model(x, keras.layers.Dense(5)(h))
        model = keras_sat.SATModel(inner)
        model.fit(dataset(images, labels, 10), verbose=0)
        model.optimizer.dynamic_scale.assign(8.0)
        model.fit(dataset(images, labels, 10), verbose=0)
        self.assertEqual(float(model.optimizer.dynamic_scale), 8.0)

    def test_the_seed_differs_from_step_to_step(self):
        model = keras_sat.SATModel(self.tiny_classifier()[0])
        seeds = [tuple(model.next_seed(model.seeds).numpy()) for _ in range(3)]
        self.assertLen(set(seeds), 3)
        self.assertLen(seeds[0], 2)

    def test_a_network_without_weights_to_train_is_refused(self):
        inner, images, labels = self.tiny_classifier()
        inner.trainable = False
        with self.assertRaisesRegex(
            ValueError,
            "`model` must have weights that can be trained. Received 8 weights,"
            " none of them trainable. Set `trainable = True`",
        ):
            keras_sat.SATModel(inner).fit(images, labels, verbose=0)

    def test_a_step_begins_when_its_batch_has_been_read(self):
        begun = []

        class Model:
            @replicated_model.after_reading
            def step(self, data):
                begun.append(tf.constant(1.0).op.control_inputs)

        @tf.function(autograph=False)
        def run(x, y):
            Model().step((x, (y, None)))

        run(tf.ones(2), tf.ones(3))
        names = [operation.name for operation in begun[0]]
        self.assertEqual(sorted(names), ["x", "y"])

"""The choice of a strategy, on machines of all kinds."""

import contextlib
import io
import json
import os
from unittest import mock

import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.distribution import strategies
from tests.test_case import TestCase

WORKERS = ["10.0.0.1:2222", "10.0.0.2:2222"]


def config(index=0, kind="worker", workers=WORKERS):
    return json.dumps(
        {
            "cluster": {"worker": list(workers)},
            "task": {"type": kind, "index": index},
        }
    )


def devices(**counts):
    """A machine with some devices, as TensorFlow lists them."""

    def list_devices(kind=None):
        return [f"{kind}:{i}" for i in range(counts.get(kind, 0))]

    return mock.patch.object(
        tf.config, "list_physical_devices", side_effect=list_devices
    )


class StrategyTest(TestCase):
    @parameterized.parameters(
        ({}, {}, "one"),
        ({"GPU": 1}, {}, "one"),
        ({"GPU": 2}, {}, "gpus"),
        ({"GPU": 2}, {"TF_CONFIG": config()}, "workers"),
        ({"TPU": 8}, {"TF_CONFIG": config()}, "tpu"),
        ({}, {"TPU_NAME": "node-1"}, "tpu"),
        ({"GPU": 2}, {"SLURM_JOB_ID": "1"}, "gpus"),
    )
    def test_auto_takes_the_first_kind_that_applies(
        self, counts, environment, expected
    ):
        with (
            devices(**counts),
            mock.patch.dict(os.environ, environment),
            mock.patch.object(strategies, "_build") as build,
        ):
            build.return_value = tf.distribute.get_strategy()
            keras_sat.strategy()
        self.assertEqual(build.call_args.args[0], expected)

    def said(self, **options):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            keras_sat.strategy(**options)
        return output.getvalue()

    def test_the_devices_are_said(self):
        with devices(GPU=1):
            self.assertEqual(self.said(), "1 GPU, no strategy\n")
        with devices():
            self.assertEqual(self.said(), "1 CPU, no strategy\n")
        mirrored = mock.Mock(spec=tf.distribute.MirroredStrategy)
        mirrored.extended.worker_devices = [
            f"/job:localhost/replica:0/task:0/device:GPU:{i}" for i in range(2)
        ]
        type(mirrored).__name__ = "MirroredStrategy"
        with mock.patch.object(strategies, "_build", return_value=mirrored):
            said = self.said(kind="gpus")
        self.assertEqual(said, "2 GPUs, MirroredStrategy\n")

    def test_one_device_is_the_strategy_of_tensorflow(self):
        self.assertIs(keras_sat.strategy("one"), tf.distribute.get_strategy())

    def test_devices_are_mirrored_on(self):
        with mock.patch.object(tf.distribute, "MirroredStrategy") as mirrored:
            keras_sat.strategy(devices=["GPU:0", "GPU:3"])
        mirrored.assert_called_once_with(["GPU:0", "GPU:3"])


class ErrorsTest(TestCase):
    @parameterized.parameters(
        ({"kind": "gpu"}, "`kind` must be one of .*Received: kind='gpu'"),
        (
            {"kind": "one", "devices": ["GPU:0"]},
            "`kind` must be 'auto' or 'gpus' with `devices`",
        ),
        (
            {"kind": "gpus", "tpu": "local"},
            "`kind` must be 'auto' or 'tpu' with `tpu`",
        ),
    )
    def test_arguments_that_contradict_are_refused(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            keras_sat.strategy(**arguments)

    def test_gpus_that_are_not_there_are_refused(self):
        with (
            devices(),
            self.assertRaisesRegex(
                ValueError, "`kind` must name hardware that is there"
            ),
        ):
            keras_sat.strategy("gpus")

    @parameterized.parameters(
        "",
        "{",
        "[]",
        '{"cluster": {}}',
        config(index=2),
        config(index=-1),
        config(kind="chief"),
        config(workers=[WORKERS[0]] * 2),
    )
    def test_a_bad_tf_config_is_refused(self, value):
        with mock.patch.dict(os.environ, TF_CONFIG=value):
            with self.assertRaisesRegex(
                ValueError, "`TF_CONFIG` must be JSON like .*Received: TF_CONF"
            ):
                keras_sat.strategy("workers")

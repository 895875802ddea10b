"""Tests of `keras_sat.callbacks.Resume`, with processes that are killed."""

import contextlib
import io
import os
import pathlib
import random
import signal
import subprocess

import keras
import numpy as np
import pytest
from absl.testing import parameterized

import keras_sat
from tests import photographs
from tests import processes
from tests.test_case import TestCase


def run(*arguments):
    """Runs a process that trains, and returns it when it has ended."""
    process = processes.start("resume", *arguments)
    texts = process.communicate(timeout=240)
    return subprocess.CompletedProcess(arguments, process.returncode, *texts)


class Interrupt(keras.callbacks.Callback):
    """Presses Ctrl-C, perhaps more than once."""

    def __init__(self, event, times=1):
        super().__init__()
        setattr(self, event, self.press)
        self.times = times

    def press(self, index, logs=None):
        if index == 1:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)


class InterruptTest(TestCase):
    """Sends SIGINT to this process."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        self.network, self.images, self.labels = self.tiny_classifier()

    def fit(self, *callbacks, epochs=2, verbose=0):
        resume = keras_sat.callbacks.Resume(self.folder)
        keras_sat.SATModel(self.network).fit(
            *(self.images, self.labels),
            batch_size=8,
            epochs=epochs,
            callbacks=[*callbacks, resume],
            verbose=verbose,
        )

    def said(self, **options):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            self.fit(**options)
        return output.getvalue()

    def test_it_says_where_training_goes_on_and_that_it_is_finished(self):
        with self.assertRaises(KeyboardInterrupt):
            self.fit(Interrupt("on_train_batch_begin"))
        saved = f"saved in {str(self.folder)!r}."
        self.assertStartsWith(
            self.said(epochs=1, verbose=2),
            f"Training goes on from epoch 1/1 after step 2, {saved}\n",
        )
        self.assertEqual(
            self.said(epochs=1, verbose=2),
            f"Training is finished already: 1/1, {saved}\n",
        )
        self.assertStartsWith(
            self.said(verbose=2), f"Training goes on from epoch 2/2, {saved}\n"
        )
        self.assertEqual(self.said(), "")

    def test_training_is_saved_before_it_is_interrupted(self):
        with self.assertRaises(KeyboardInterrupt):
            self.fit(Interrupt("on_train_batch_begin"))
        # After the second step of the first epoch.
        self.assertEqual(
            os.listdir(self.folder), ["checkpoint-000000-00000002.npz"]
        )
        self.assertIs(
            signal.getsignal(signal.SIGINT), signal.default_int_handler
        )
        self.fit()
        self.assertLen(os.listdir(self.folder), 2)

    def test_a_second_ctrl_c_ends_at_once(self):
        with self.assertRaises(KeyboardInterrupt):
            self.fit(Interrupt("on_train_batch_begin", times=2))
        self.assertEmpty(os.listdir(self.folder))

    def test_ctrl_c_after_the_last_step_is_not_forgotten(self):
        with self.assertRaises(KeyboardInterrupt):
            self.fit(Interrupt("on_epoch_end"))
        self.assertIn("checkpoint-000002-00000000.npz", os.listdir(self.folder))

    def test_a_handler_of_the_users_own_stays(self):
        seen = []
        before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
        try:
            self.fit(Interrupt("on_train_batch_begin", times=2), epochs=1)
        finally:
            signal.signal(signal.SIGINT, before)
        self.assertLen(seen, 2)


class ResumeTest(TestCase):
    def assert_same_ends(self, path, other):
        with np.load(path) as one, np.load(other) as two:
            # The mean loss of the last epoch is among them.
            self.assertIn("loss", one.files)
            for name in one.files:
                self.assertAllEqual(one[name], two[name], name)

    @parameterized.parameters(
        ("--folder={folder}/images", 16),
        # Each of these steps are two.
        ("--steps_per_execution=2", 6),
        ("--steps_per_epoch=4", 8),
    )
    @pytest.mark.large
    def test_other_data_and_steps_go_on_where_they_were(self, option, step):
        folder = pathlib.Path(self.get_temp_dir())
        photographs.write_folder(folder / "images")
        option = option.format(folder=folder)
        whole = f"--directory={folder}/whole", f"--path={folder}/whole.npz"
        cut = f"--directory={folder}/cut", f"--path={folder}/cut.npz"
        self.assertEqual(run(option, *whole).returncode, 0)
        killed = run(option, *cut, f"--kill_at_step={step}")
        self.assertEqual(killed.returncode, -signal.SIGKILL, killed.stderr)
        finished = run(option, *cut)
        self.assertEqual(finished.returncode, 0, finished.stderr)
        self.assert_same_ends(folder / "whole.npz", folder / "cut.npz")

    @pytest.mark.large
    def test_killed_again_and_again_a_run_ends_with_the_same_bits(self):
        folder = pathlib.Path(self.get_temp_dir())
        whole = f"--directory={folder}/whole", f"--path={folder}/whole.npz"
        cut = f"--directory={folder}/cut", f"--path={folder}/cut.npz"
        self.assertEqual(run(*whole).returncode, 0)
        # Anywhere in 18 steps; then while a checkpoint is being written.
        killed = run(*cut, f"--kill_at_step={random.randint(8, 11)}")
        self.assertEqual(killed.returncode, -signal.SIGKILL, killed.stderr)
        killed = run(*cut, "--kill_in_write=2")
        self.assertEqual(killed.returncode, -signal.SIGKILL, killed.stderr)
        self.assertLen(list(folder.glob("cut/*.tmp")), 1)
        newest = sorted(folder.glob("cut/*.npz"))[-1]
        with open(newest, "r+b") as file:
            file.truncate(1000)
        ended = run(*cut, "--kill_at_step=6", "--signal=SIGTERM")
        self.assertEqual(
            ended.returncode, keras_sat.callbacks.PREEMPTED, ended.stderr
        )
        self.assertRegex(
            ended.stderr, f"{newest} is damaged .*: the previous one is used"
        )
        ended = run(*cut, "--kill_at_step=2", "--signal=SIGINT")
        self.assertEqual(ended.returncode, -signal.SIGINT, ended.stderr)
        self.assertRegex(
            ended.stderr, "(?s)saved after this step and ends.*SIGINT: training"
        )
        finished = run(*cut)
        self.assertEqual(finished.returncode, 0, finished.stderr)
        self.assertEmpty(list(folder.glob("cut/*.tmp")))
        self.assertLen(list(folder.glob("cut/*.npz")), 2)
        self.assert_same_ends(folder / "whole.npz", folder / "cut.npz")

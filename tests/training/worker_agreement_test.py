"""Tests of workers that agree on a recipe, and of one that is lost."""

import os

import numpy as np
import pytest
import tensorflow as tf

from keras_sat.training import worker_agreement
from tests.processes import finish
from tests.processes import start_workers
from tests.test_case import TestCase
from tests.training.replicas import ReplicasTestCase


class WorkersTest(ReplicasTestCase):
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
        self.assertIn("2 replicas on all workers", lost.stdout.readline())
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


class OneWorkerTest(TestCase):
    def test_errors_of_a_process_alone_are_left_as_they_are(self):
        error = tf.errors.UnavailableError(None, None, "Socket closed")
        with self.assertRaises(tf.errors.UnavailableError) as caught:
            with worker_agreement.lost_workers_explained(
                tf.distribute.get_strategy()
            ):
                raise error
        self.assertIs(caught.exception, error)

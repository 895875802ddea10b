"""Adversarial images in files: which, and of which evaluation."""

import os
import pathlib

import numpy as np
import pytest

from keras_sat.evaluation.adversarial_files import AdversarialFiles
from keras_sat.evaluation.open_batch import WorstCase
from keras_sat.evaluation.reading import Batch
from keras_sat.evaluation.seen import Seen
from tests.attacks import problems
from tests.evaluation.short_evaluations import EPSILON
from tests.evaluation.short_evaluations import QUICK
from tests.evaluation.short_evaluations import ResumedTestCase
from tests.evaluation.short_evaluations import evaluate

pytestmark = pytest.mark.numeric


def case(batch, outcomes, adversarial):
    """Returns the `WorstCase` of two images and two attacks."""
    return WorstCase(batch, outcomes, adversarial, 0.0, Seen(2, 2))


class AdversarialFilesTest(ResumedTestCase):
    def test_keeps_the_adversarial_images(self):
        problem = problems.Linear(3)
        folder = self.get_temp_dir()
        report = evaluate(
            problem.model,
            (problem.images, problem.labels),
            batch_size=16,
            adversarial_dir=folder,
        )
        kept = [
            dict(np.load(os.path.join(folder, name)))
            for name in sorted(os.listdir(folder))
        ]
        kept = {k: np.concatenate([d[k] for d in kept]) for k in kept[0]}
        self.assertAllEqual(kept["images"], problem.images)
        self.assertAllEqual(kept["labels"], problem.labels)
        self.assertAllEqual(kept["outcomes"], report.outcomes)
        change = np.abs(kept["adversarial"] - problem.images).max((1, 2, 3))
        self.assertAllInRange(change, 0, EPSILON + 1e-6)
        self.assertAllInRange(kept["adversarial"], 0, 1)
        robust = report.outcomes == len(QUICK)
        self.assertAllEqual(change[robust], np.zeros(robust.sum()))
        self.assertAllEqual(problem.broken(kept["adversarial"]), ~robust)

    @pytest.mark.large
    def test_never_mixes_adversarial_images_of_two_evaluations(self):
        folder = os.path.join(self.get_temp_dir(), "kept")
        self.run_with_state(adversarial_dir=folder)
        for state in (None, self.path + "2"):
            with self.assertRaisesRegex(
                ValueError, "`adversarial_dir` must hold no images of another"
            ):
                self.run_with_state(adversarial_dir=folder, state_path=state)
        with self.assertRaisesRegex(ValueError, "has other adversarial_dir"):
            self.run_with_state(adversarial_dir=folder + "2")

    @pytest.mark.large
    def test_keeps_all_adversarial_images_across_a_cut(self):
        folder = os.path.join(self.get_temp_dir(), "kept")
        self.run_with_state(adversarial_dir=folder)
        kept = {n: dict(np.load(f"{folder}/{n}")) for n in os.listdir(folder)}
        os.remove(f"{folder}/batch_000001.npz")
        self.run_with_state(adversarial_dir=folder)
        for name, arrays in kept.items():
            again = np.load(f"{folder}/{name}")
            for key, array in arrays.items():
                self.assertAllEqual(again[key], array)

    def test_without_a_folder_nothing_is_written(self):
        batch = Batch(0, *(np.zeros((2, 1), "float32"),) * 3)
        kept = AdversarialFiles(None, is_new=True)
        self.assertTrue(kept.is_complete(batch))
        kept.write(case(batch, batch.labels, batch.images))

    def test_a_file_has_what_became_of_a_batch(self):
        folder = self.get_temp_dir()
        left = pathlib.Path(folder, "batch_000003.npz.1-a.tmp")
        left.write_text("of a process that was killed")
        kept = AdversarialFiles(folder, is_new=True)
        self.assertFalse(left.exists())
        images = np.random.default_rng(0).random((2, 3)).astype("float32")
        batch = Batch(3, images, np.array([1, 0]), np.zeros(2))
        self.assertFalse(kept.is_complete(batch))
        kept.write(case(batch, np.array([-1, 2]), 1 - images))
        self.assertTrue(kept.is_complete(batch))
        # A file that is there stays as it is.
        kept.write(case(batch, np.array([0, 0]), images))
        with np.load(kept.path(batch)) as arrays:
            self.assertAllEqual(arrays["images"], images)
            self.assertAllEqual(arrays["adversarial"], 1 - images)
            self.assertAllEqual(arrays["labels"], [1, 0])
            self.assertAllEqual(arrays["outcomes"], [-1, 2])

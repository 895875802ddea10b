"""Batches from every kind of dataset, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.evaluation import reading
from keras_sat.evaluation.evaluated_model import EvaluatedModel
from keras_sat.evaluation.reading import Batch
from tests.attacks import problems
from tests.evaluation.short_evaluations import evaluate
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


class StreamTest(TestCase):
    def setUp(self):
        super().setUp()
        self.images = np.arange(40.0, dtype="float32").reshape(10, 4) / 40
        self.labels = np.arange(10) % 3

    def test_arrays_are_read_in_batches_of_the_size_that_is_asked_for(self):
        batches, size = reading.stream((self.images, self.labels), 4)
        batches = list(batches)
        self.assertEqual(size, 3)
        self.assertEqual([len(labels) for _, labels in batches], [4, 4, 2])
        for i, whole in enumerate((self.images, self.labels)):
            parts = np.concatenate([batch[i] for batch in batches])
            self.assertAllEqual(parts, whole)

    def test_the_number_of_batches_is_known_if_the_dataset_tells_it(self):
        dataset = tf.data.Dataset.from_tensor_slices((self.images, self.labels))
        self.assertEqual(reading.stream(dataset.batch(3), 1)[1], 4)
        some = dataset.filter(lambda image, label: label > 0).batch(3)
        batches, size = reading.stream(some, 1)
        self.assertIsNone(size)
        self.assertLen(list(batches), 2)
        generator = (batch for batch in [(self.images, self.labels)])
        self.assertIsNone(reading.stream(generator, 1)[1])

    @parameterized.parameters(
        (3, TypeError, "give batches"),
        ("images", TypeError, "give batches"),
        ({"image": 1}, TypeError, "give batches"),
    )
    def test_what_gives_no_batches_is_refused(self, dataset, error, message):
        with self.assertRaisesRegex(error, f"`dataset` must {message}"):
            reading.stream(dataset, 1)

    def test_what_never_ends_is_refused(self):
        dataset = tf.data.Dataset.from_tensors((self.images, self.labels))
        with self.assertRaisesRegex(ValueError, "`dataset` must be finite"):
            reading.stream(dataset.repeat(), 1)


class ReadTest(TestCase):
    def test_batches_have_the_form_that_evaluations_use(self):
        problem = problems.Linear(3)
        images = np.round(problem.images * 255).astype("uint8")
        labels = np.eye(3, dtype="float32")[problem.labels]
        evaluated = EvaluatedModel(problem.model)
        dataset = reading.read((images, labels), 16, evaluated)
        self.assertEqual((dataset.size, dataset.num_classes), (3, 3))
        batches = list(dataset.batches)
        self.assertIs(batches[0], dataset.first)
        self.assertEqual([batch.index for batch in batches], [0, 1, 2])
        self.assertAllClose(
            dataset.first_logits, problem.model(images[:16] / 255), atol=1e-5
        )
        for batch, start in zip(batches, (0, 16, 32), strict=True):
            part = slice(start, start + 16)
            self.assertAllEqual(batch.labels, problem.labels[part])
            self.assertAllClose(batch.images, images[part] / 255)
            self.assertAllEqual(batch.excess, np.zeros(len(batch.labels)))

    def test_the_excess_is_a_share_of_the_range_and_is_clipped(self):
        problem = problems.Linear(3, value_range=(-1.0, 1.0))
        problem.images[0, 0, 0] = 1.1
        problem.images[1, 1, 1] = -1.06
        evaluated = EvaluatedModel(problem.model, value_range=(-1.0, 1.0))
        data = problem.images, problem.labels
        batch = reading.read(data, 40, evaluated).first
        self.assertAllClose(batch.excess[:3], [0.05, 0.03, 0.0])
        self.assertAllInRange(batch.images, -1.0, 1.0)

    def test_the_checksum_changes_with_images_and_labels(self):
        images, labels = np.zeros((2, 3), "float32"), np.array([0, 1], "int32")
        excess = np.zeros(2)
        sums = {
            Batch(0, images, labels, excess).checksum,
            Batch(0, images + 1, labels, excess).checksum,
            Batch(0, images, 1 - labels, excess).checksum,
        }
        self.assertLen(sums, 3)
        # Journals have checksums of earlier versions.
        self.assertEqual(Batch(1, images, labels, excess).checksum, 2713072328)


class DatasetTest(TestCase):
    @pytest.mark.large
    def test_one_dataset_in_several_forms_gives_one_report(self):
        problem = problems.Linear(3)
        grey = np.round(problem.images * 255).astype("uint8")
        images = grey.astype("float32") / 255
        labels = np.argmax(problem.model(images), axis=1)
        one_hot = np.eye(3, dtype="float32")[labels]

        class Batches(keras.utils.PyDataset):
            def __len__(self):
                return 2

            def __getitem__(self, i):
                return images[20 * i : 20 * i + 20], labels[
                    20 * i : 20 * i + 20
                ]

        forms = [
            (images, labels),
            (grey, labels),
            (images, one_hot),
            tf.data.Dataset.from_tensor_slices((grey, labels)).batch(20),
            Batches(),
            ((images[i : i + 20], labels[i : i + 20]) for i in (0, 20)),
        ]
        reports = [
            evaluate(problem.model, form, batch_size=20) for form in forms
        ]
        self.assertBetween(reports[0].robust_accuracy, 0.05, 0.95)
        for report in reports[1:]:
            self.assertEqual(report, reports[0])

    @pytest.mark.large
    def test_slightly_out_of_range_images_are_clipped_and_reported(self):
        problem = problems.Linear(3)
        images = problem.images.copy()
        images[:4, 0, 0] = 1.03
        data = images, problem.labels
        report = evaluate(problem.model, data, diagnose=True)
        found = {w.name: w.found for w in report.warnings}
        self.assertRegex(found["images_out_of_range"], "4 images.*0.03")

    def test_refuses_bad_data(self):
        model, images, labels = self.tiny_classifier()
        cases = {
            "without labels": [images],
            "batches without labels": tf.data.Dataset.from_tensors(images),
            "with weights": [(images, labels, labels)],
            "as many labels": (images, labels[1:]),
            "not be empty": [],
            "Undo the normalization": (4 * images - 2, labels),
            "Divide the images by 255": (255 * images, labels),
            "class ids from 5 to 5": (images, 0 * labels + 5),
            "class ids from 6 to 6": [
                (images, labels),
                (images, 0 * labels + 6),
            ],
            "one probability for each": (images, np.eye(7)[labels]),
            "`labels` must lie": (images, labels - 10),
        }
        for message, data in cases.items():
            with self.subTest(message):
                with self.assertRaisesRegex((ValueError, TypeError), message):
                    evaluate(model, data)

"""Labels in every form."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.predictions import labels as label_forms
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

SEED = (1, 2)


class LabelsTest(TestCase):
    @parameterized.parameters("int64", "uint8", "int8")
    def test_ids_become_one_row_of_int32(self, dtype):
        for shape in ((3,), (3, 1)):
            labels = np.reshape([2, 0, 1], shape).astype(dtype)
            found = label_forms.canonical(labels)
            self.assertEqual(found.dtype, tf.int32)
            self.assertAllEqual(found, [2, 0, 1])

    def test_probabilities_become_float32_and_stay_what_they_are(self):
        soft = np.array([[0.25, 0.75], [1.0, 0.0]])
        for labels in (soft, soft.astype("float16")):
            found = label_forms.canonical(labels)
            self.assertEqual(found.dtype, tf.float32)
            self.assertAllEqual(found, soft)
        # One-hot vectors of integers are probabilities as well.
        found = label_forms.canonical(np.eye(2, dtype="int32"))
        self.assertEqual(found.dtype, tf.float32)

    def test_the_class_of_probabilities_is_the_largest(self):
        soft = [[0.2, 0.5, 0.3], [0.6, 0.4, 0.0]]
        self.assertAllEqual(label_forms.class_ids(soft), [1, 0])
        self.assertAllEqual(label_forms.class_ids([[2], [0]]), [2, 0])
        logits = tf.constant([[1.0, 3.0, 2.0], [0.0, 2.0, 1.0]])
        for labels in ([1, 0], soft):
            found = label_forms.is_right(labels, logits)
            self.assertAllEqual(found, [True, False])

    @parameterized.parameters(
        ([0, 3], r"lie in \[0, num_classes=3\).*class ids up to 3"),
        ([[0.5, 0.5]], "have one probability for each of the 3 classes"),
    )
    def test_classes_that_a_model_does_not_have_are_refused(
        self, labels, message
    ):
        labels = label_forms.canonical(np.array(labels))
        logits = tf.zeros((len(labels), 3))
        with self.assertRaisesRegex(ValueError, f"`labels` must {message}"):
            label_forms.check_classes(labels, logits)
        label_forms.check_classes(tf.constant([0, 2]), logits)

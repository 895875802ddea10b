"""Labels of attacks that are told apart."""

from keras_sat.attacks import PGD
from keras_sat.attacks import Square
from keras_sat.evaluation.attack_labels import attack_name
from keras_sat.evaluation.attack_labels import distinct_labels
from tests.test_case import TestCase


class LabelsTest(TestCase):
    def test_repeated_labels_are_numbered(self):
        attacks = [PGD(), Square(), PGD()]
        labels = distinct_labels([*attacks, PGD(steps=3)])
        self.assertEqual(labels, ["PGD-10", "Square", "PGD-10 #2", "PGD-3"])
        self.assertEqual(
            [attack_name(label) for label in labels],
            ["PGD-10", "Square", "PGD-10", "PGD-3"],
        )

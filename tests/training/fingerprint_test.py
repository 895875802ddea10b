"""Tests of the fingerprint by which two runs of training are compared."""

import json

import keras

import keras_sat
from keras_sat.training import fingerprint
from tests.test_case import TestCase


class FingerprintTest(TestCase):
    def fingerprint(self, compiled=None, **options):
        model = keras_sat.SATModel(self.tiny_classifier()[0], **options)
        model.compile(**compiled or {})
        model.build_optimizer()
        return model.fingerprint()

    def differing(self, **options):
        """Returns the names of the parts that options change."""
        usual, other = self.fingerprint(), self.fingerprint(**options)
        self.assertEqual(usual.keys(), other.keys())
        return {name for name in usual if usual[name] != other[name]}

    def test_the_same_recipe_has_the_same_fingerprint(self):
        # Keras gives the second network and its optimizer other names.
        self.assertEqual(self.differing(), set())

    def test_each_part_of_the_recipe_is_a_part_of_it(self):
        sgd = keras.optimizers.SGD
        for options, expected in (
            ({"attack": keras_sat.PGD(steps=7)}, {"attack"}),
            ({"objective": keras_sat.TRADES(beta=2.0)}, {"objective"}),
            ({"attack_statistics": "batch"}, {"attack_statistics"}),
            ({"compiled": {"weight_decay": 0.5}}, {"weight_decay"}),
            ({"compiled": {"loss": keras_sat.CrossEntropy()}}, {"loss"}),
            (
                {
                    "compiled": {
                        "optimizer": sgd(0.2, momentum=0.9, nesterov=True),
                        "weight_decay": 1e-4,
                    }
                },
                {"optimizer"},
            ),
            (
                {"compiled": {"optimizer": sgd(0.1), "weight_decay": 1e-4}},
                # Without momentum there are fewer variables, too.
                {"optimizer", "variables"},
            ),
        ):
            self.assertEqual(self.differing(**options), expected, options)

    def test_json_gives_it_back(self):
        found = self.fingerprint(attack_model=self.tiny_classifier()[0])
        self.assertEqual(json.loads(json.dumps(found)), found)

    def test_what_json_cannot_hold_is_described_in_words(self):
        found = fingerprint.described(pair=(1, 2), kind=set())
        self.assertEqual(found, {"pair": [1, 2], "kind": "set()"})

    def test_digests_differ_where_descriptions_do(self):
        parts = [{"a": 1}, {"a": 2}, {"b": 1}, "a", 1, None]
        digests = [fingerprint.digest(part) for part in parts]
        self.assertLen(set(digests), len(parts))
        self.assertEqual(digests[0], fingerprint.digest({"a": 1}))
        # Of SHA-256, as `sha256sum` says.
        empty = (
            "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"
        )
        self.assertEqual(fingerprint.digest(""), int(empty[:14], 16))

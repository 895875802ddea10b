"""Tests of saving and loading of objects."""

import dataclasses
import functools
import json

import keras
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat import config
from keras_sat import recipes
from keras_sat import schedules
from tests.test_case import TestCase


@keras.saving.register_keras_serializable("config_test")
def registered(labels, logits):
    del labels
    return -tf.reduce_max(logits, axis=-1)


def unregistered(labels, logits):
    del labels
    return -tf.reduce_max(logits, axis=-1)


CONFIGURED = (
    keras_sat.PGD(epsilon=0.1, value_range=(-1, 1)),
    keras_sat.PGD(loss=registered),
    keras_sat.APGD(),
    keras_sat.FAB(),
    keras_sat.Square(),
    keras_sat.AutoAttack(norm="l2", epsilon=0.5),
    keras_sat.AutoAttack(attacks=["fab-t", keras_sat.PGD(loss=registered)]),
    keras_sat.AdversarialTraining(),
    keras_sat.TRADES(beta=3.0),
    keras_sat.MART(beta=3.0),
    keras_sat.AWP(objective=keras_sat.TRADES(beta=3.0), gamma=0.1),
    keras_sat.GradAlign(objective=keras_sat.MART(), coefficient=2.0),
    keras_sat.FreeTraining(replays=4, step_size=0.5),
    keras_sat.NFGSM(epsilon=0.1),
    recipes.cifar10(),
)


class ConfigTest(TestCase):
    @parameterized.parameters(*map(tuple, zip(CONFIGURED)))
    def test_from_config_gives_what_get_config_described(self, configured):
        described = configured.get_config()
        text = json.dumps(described)
        self.assertEqual(type(configured).from_config(described), configured)
        # The description is still whole.
        self.assertEqual(json.dumps(described), text)
        again = keras.saving.deserialize_keras_object(
            json.loads(
                json.dumps(keras.saving.serialize_keras_object(configured))
            )
        )
        self.assertEqual(again, configured)

    def test_schedules_are_described(self):
        rate = schedules.LinearWarmup(schedules.cosine_decay(0.1, 10), 5)
        attack = schedules.AttackSchedule(epsilon=rate)
        for one in (rate, attack.from_config(attack.get_config()).epsilon):
            json.dumps(one.get_config())
            again = type(one).from_config(one.get_config())
            for step in (0, 3, 8):
                self.assertEqual(again(step), rate(step))

    @parameterized.parameters(
        lambda labels, logits: logits[:, 0],
        functools.partial(registered),
    )
    def test_a_function_without_a_name_is_refused(self, loss):
        with self.assertRaisesRegex(
            TypeError,
            "`loss` must be a function with a name, or an object with a "
            "`get_config`, to be saved. Received: loss=<?func.*Write it as",
        ):
            keras_sat.PGD(loss=loss).get_config()

    def test_a_named_function_is_loaded_by_its_name(self):
        attack = keras_sat.PGD(loss=unregistered)
        described = attack.get_config()
        with keras.saving.custom_object_scope({"unregistered": unregistered}):
            self.assertEqual(keras_sat.PGD.from_config(described), attack)
        objects = {"unregistered": unregistered}
        self.assertIs(config.loaded(described["loss"], objects), unregistered)

    def test_a_smooth_function_without_a_name_is_refused(self):
        layer = keras_sat.activations.relu_with_gradient_of(
            functools.partial(tf.nn.elu)
        )
        with self.assertRaisesRegex(TypeError, "`smooth` must be a function"):
            layer.get_config()

    def test_fields_of_any_depth_are_described(self):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Deep(config.Config):
            parts: dict

        deep = Deep(parts={"attacks": (keras_sat.PGD(),), "name": "x", "n": 1})
        described = json.loads(json.dumps(deep.get_config()))
        self.assertEqual(
            Deep.from_config(described).parts,
            {"attacks": [keras_sat.PGD()], "name": "x", "n": 1},
        )

"""The words that flags take, against those of the package."""

import typing

from absl.testing import parameterized

import keras_sat
from keras_sat.attacks import norms
from keras_sat.attacks.auto_attack import NAMED
from keras_sat.attacks.auto_attack import VERSIONS
from keras_sat.data import image_datasets
from keras_sat.models import conversion
from keras_sat.models import new_head
from keras_sat.models import pixel_values
from keras_sat.recipes import finetuning as finetuning_recipes
from keras_sat.recipes import training_run
from keras_sat.torch_weights import leaderboard
from keras_sat_command import finetuning
from keras_sat_command import importing
from keras_sat_command import measuring
from keras_sat_command import networks
from keras_sat_command import training
from tests.test_case import TestCase

FLAGS = {
    training.RecipeName: ("auto", *keras_sat.recipes.NAMED),
    training.Devices: keras_sat.distribution.KINDS,
    training.Precision: training_run.POLICIES,
    training.Corrupt: image_datasets.CORRUPT,
    finetuning.Start: finetuning_recipes.STARTS,
    finetuning.Freeze: new_head.FREEZES,
    finetuning.Normalization: ("auto", *pixel_values.MODES),
    measuring.Crop: ("auto", *keras_sat.preprocessing.CROPS),
    networks.Replace: conversion.REPLACE,
    importing.Leaderboard: leaderboard.CLASSES,
}


class ChoicesTest(TestCase):
    @parameterized.parameters(*FLAGS.items())
    def test_flags_take_what_functions_take(self, flag, expected):
        self.assertCountEqual(typing.get_args(flag), expected)

    def test_norms_are_known(self):
        for name in typing.get_args(measuring.Norm):
            norms.get(name)

    def test_the_help_names_every_attack(self):
        for name in (*NAMED, *VERSIONS):
            self.assertRegex(measuring.evaluate.__doc__, rf"[ \n]{name}[ ,.\n]")

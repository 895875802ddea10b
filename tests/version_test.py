"""Tests of the versions that reports and files note down."""

import importlib.metadata

import keras_sat
from keras_sat import version
from tests.test_case import TestCase


class VersionTest(TestCase):
    def test_versions_are_those_of_the_installed_packages(self):
        found = version.versions()
        self.assertEqual(found.pop("keras_sat"), keras_sat.__version__)
        self.assertEqual(set(found), {"keras", "tensorflow"})
        for name, value in found.items():
            self.assertEqual(value, importlib.metadata.version(name))

    def test_the_version_of_the_package_is_a_release(self):
        self.assertRegex(keras_sat.__version__, r"^\d+\.\d+\.\d+$")

"""Tests of the errors for packages that are not installed."""

from keras_sat import extras
from tests.data.folders import without
from tests.test_case import TestCase


class NeededTest(TestCase):
    def test_a_missing_package_is_named_with_its_extra(self):
        with self.assertRaisesRegex(
            ImportError,
            r"`matplotlib` must be installed.*keras_sat\[plots\]",
        ) as caught:
            with without("matplotlib"), extras.needed("plots"):
                import matplotlib  # noqa: F401
        self.assertEqual(caught.exception.name, "matplotlib")
        self.assertIsInstance(caught.exception.__cause__, ImportError)

    def test_other_errors_pass(self):
        with self.assertRaises(ZeroDivisionError):
            with extras.needed("plots"):
                1 / 0  # noqa: B018

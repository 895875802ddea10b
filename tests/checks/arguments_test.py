"""Tests of the checks of arguments, and of the form of their errors."""

import pathlib

import numpy as np
from absl.testing import parameterized

from keras_sat import checks
from tests.test_case import TestCase

NAN, INFINITE = float("nan"), float("inf")


class RefuseTest(TestCase):
    def test_an_error_says_what_was_expected_received_and_can_be_done(self):
        with self.assertRaises(ValueError) as caught:
            checks.refuse("size", "be large", 3, "Take 4.")
        self.assertEqual(
            str(caught.exception),
            "`size` must be large. Received: size=3. Take 4.",
        )
        with self.assertRaises(TypeError) as caught:
            described = checks.Described("a large array")
            checks.refuse("size", "be a number", described, error=TypeError)
        self.assertEqual(
            str(caught.exception),
            "`size` must be a number. Received a large array.",
        )


class ArgumentsTest(TestCase):
    @parameterized.parameters(
        (checks.integer, 0, ValueError, "at least 1.*=0"),
        (checks.integer, 1.0, TypeError, "an integer.*=1.0"),
        (checks.integer, True, TypeError, "an integer.*=True"),
        (checks.real, "1", TypeError, "a number.*='1'"),
        (checks.real, True, TypeError, "a number.*=True"),
        (checks.real, NAN, ValueError, "finite.*=nan"),
        (checks.real, INFINITE, ValueError, "finite.*=inf"),
        (checks.probability, 1.01, ValueError, "lie in .0, 1.*=1.01"),
        (checks.probability, NAN, ValueError, "lie in .0, 1.*=nan"),
        (checks.probability, False, TypeError, "a number.*=False"),
        (checks.path, 3, TypeError, "be a path.*=3"),
    )
    def test_others_are_refused(self, check, value, error, message):
        with self.assertRaisesRegex(error, f"`x` must .*{message}"):
            check("x", value)

    def test_numbers_of_numpy_are_numbers(self):
        checks.integer("x", np.int64(3))
        checks.real("x", np.float32(0.5), above=0)
        checks.probability("x", np.float64(1.0))

    def test_bounds_are_exclusive_above_and_inclusive_at_least(self):
        checks.real("x", 1, least=1)
        with self.assertRaisesRegex(ValueError, "greater than 1"):
            checks.real("x", 1, above=1)
        with self.assertRaisesRegex(ValueError, "at least 1.*=0.5"):
            checks.real("x", 0.5, least=1)

    def test_a_path_becomes_a_str(self):
        self.assertEqual(checks.path("x", pathlib.Path("a") / "b"), "a/b")

    def test_one_of_and_lookup_list_what_is_known(self):
        table = {"b": 2, "a": 1}
        self.assertEqual(checks.lookup("x", "b", table), 2)
        for value in ("c", 3, None, ["a"]):
            for check in (checks.lookup, checks.one_of):
                with self.assertRaisesRegex(
                    ValueError, r"`x` must be one of \['a', 'b'\]. Received: x="
                ):
                    check("x", value, table)

    @parameterized.parameters(
        (0, 1, 2), ((0,),), ((1, 0),), ((0, 0),), ((0, INFINITE),)
    )
    def test_a_range_is_a_pair_in_order(self, *value):
        value = value if len(value) > 1 else value[0]
        with self.assertRaisesRegex(ValueError, "`value_range` must "):
            checks.value_range(value)
        checks.value_range((-1, 1.5))

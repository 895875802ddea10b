"""Tests of what programs say, and of `keras_sat.interruptible`."""

import contextlib
import io
import shlex
import sys

import keras

import keras_sat
from keras_sat import programs
from tests.test_case import TestCase


class SayTest(TestCase):
    def test_it_is_printed_or_logged_where_keras_prints_or_logs(self):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            programs.say("100 % done")
        self.assertEqual(output.getvalue(), "100 % done\n")
        keras.config.disable_interactive_logging()
        self.addCleanup(keras.config.enable_interactive_logging)
        with contextlib.redirect_stdout(io.StringIO()) as output:
            with self.assertLogs("absl", "INFO") as logs:
                programs.say("100 % done")
        self.assertEqual(output.getvalue(), "")
        self.assertEqual(logs.records[0].getMessage(), "100 % done")


class InterruptibleTest(TestCase):
    def test_a_program_that_ends_returns_what_it_returns(self):
        program = keras_sat.interruptible(lambda x, y: x + y)
        self.assertEqual(program(1, y=2), 3)

    def test_ctrl_c_ends_in_words_and_code_130(self):
        @keras_sat.interruptible
        def main():
            """Does nothing."""
            raise KeyboardInterrupt

        self.assertEqual(main.__doc__, "Does nothing.")
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            with self.assertRaises(SystemExit) as caught:
                main()
        self.assertEqual(caught.exception.code, 130)
        # Or a second traceback would be shown.
        self.assertTrue(caught.exception.__suppress_context__)
        self.assertIn("The same command goes on", errors.getvalue())
        self.assertIn(shlex.join(sys.orig_argv), errors.getvalue())

    def test_errors_are_let_through(self):
        @keras_sat.interruptible
        def main():
            raise ValueError("No.")

        with self.assertRaisesRegex(ValueError, "No."):
            main()

"""Runs of the command in this process."""

import contextlib
import io
from unittest import mock

from keras_sat_command import main


def run(*words):
    """Runs `keras-sat` with some words.

    Returns:
        The exit code, and what was written to the output and to the errors.
    """
    output, errors = io.StringIO(), io.StringIO()
    with (
        # It would change the logs of this process.
        mock.patch.object(main, "_prepare"),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        try:
            main.main([str(word) for word in words])
        except SystemExit as end:
            return end.code, output.getvalue(), errors.getvalue()
    raise AssertionError("The command did not exit.")

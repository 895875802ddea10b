"""Messages of programs to their users, and their end on Ctrl-C."""

import functools
import shlex
import sys

import keras
from absl import logging

# The exit code of a program that Ctrl-C ended, as shells give it.
INTERRUPTED = 130


def say(text):
    """Tells users what they should know, in scripts and notebooks alike.

    It is printed where Keras prints its progress: to the standard output, or,
    after `keras.config.disable_interactive_logging()`, to the log of absl.

    Args:
        text: str.
    """
    if keras.config.is_interactive_logging_enabled():
        print(text, flush=True)
    else:
        logging.info("%s", text)


def interruptible(main):
    """Returns a program that Ctrl-C ends with a message, not with a traceback.

    It is meant for programs that, when they are started again, go on from what
    they have saved: with `callbacks.Resume`, which saves training on Ctrl-C, or
    with the `state_path` of `evaluate_robustness`.

    Args:
        main: function that does the work.

    Returns:
        A function like `main`. On SIGINT it prints the command with which the
        program goes on, and exits with the code 130.

    Example:

    ```python
    if __name__ == "__main__":
        app.run(keras_sat.interruptible(main))
    ```
    """

    @functools.wraps(main)
    def program(*args, **kwargs):
        try:
            return main(*args, **kwargs)
        except KeyboardInterrupt:
            print(
                "\nInterrupted. The same command goes on from what is saved:\n"
                f"  {shlex.join(sys.orig_argv)}",
                file=sys.stderr,
            )
            raise SystemExit(INTERRUPTED) from None

    return program

"""How programs end that take hours and can go on."""

import functools
import shlex
import sys

# The exit code of a program that Ctrl-C ended, as shells give it.
INTERRUPTED = 130


def interruptible(main):
    """Ends a program in words, where Ctrl-C would end it in a traceback.

    For programs that go on where they were when they are started again, as
    with `callbacks.Resume`, which saves training before it lets it be
    interrupted, or with the `state_path` of `evaluate_robustness`.

    Args:
        main: function that does the work.

    Returns:
        A function like `main`. On SIGINT it prints the command to go on with,
        and exits with the code 130.

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

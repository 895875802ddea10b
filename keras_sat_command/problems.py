"""Errors in one line that name the flag, and exit codes."""

import contextlib
import re

# The exit codes of a shell: a failure, a wrong command line, a fault of the
# program (EX_SOFTWARE), a closed pipe (SIGPIPE) and Ctrl-C (SIGINT).
FAILED, WRONG_USAGE, FAULT, CLOSED_PIPE, INTERRUPTED = 1, 2, 70, 141, 130
# How errors of `keras_sat` begin: "`name` must ...".
NAMED = re.compile(r"`(\w+)` (?=must )")


class CommandError(Exception):
    """What ends a command with a message, and without a traceback.

    Args:
        text: str. The message.
        code: int. The exit code. Defaults to that of a failure.
    """

    def __init__(self, text, code=FAILED):
        super().__init__(text)
        self.code = code


def wrong(what, problem):
    """Raises the error about a flag or another word of the command line.

    Args:
        what: str. For example `"--epsilon"` or `"DATA"`.
        problem: str. Completes the sentence.
    """
    raise CommandError(f"{what} {problem}", WRONG_USAGE)


@contextlib.contextmanager
def arguments(**flags):
    """Makes errors about arguments of a function name flags of the command.

    Args:
        **flags: from the name of an argument to what the user knows it as, like
            `path="MODEL"`.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        found = NAMED.match(str(error))
        if found is None or found[1] not in flags:
            raise
        raise CommandError(
            NAMED.sub(f"{flags[found[1]]} ", str(error), count=1), WRONG_USAGE
        ) from error


def explained(error, options):
    """Returns the message and the exit code for an error.

    Args:
        error: Exception.
        options: collection of str. The names of the flags of the command, with
            underscores.

    Returns:
        str, and int.
    """
    if isinstance(error, CommandError):
        return _with_flags(str(error), options), error.code
    # Errors of other packages may fill a screen.
    text = next(iter(str(error).strip().splitlines()), "")
    found = NAMED.match(text)
    text = _with_flags(text, options)
    if found and found[1] in options:
        return NAMED.sub(f"{flag(found[1])} ", text, count=1), WRONG_USAGE
    if found or isinstance(error, ValueError):
        return text, FAILED
    text = f"{type(error).__name__}: {text}"
    if isinstance(error, OSError | ImportError | MemoryError):
        return text, FAILED
    return f"{text} (`keras-sat --debug ...` shows where)", FAULT


def flag(name):
    """Returns the flag for an argument, `--top-k` for `top_k`."""
    return "--" + name.replace("_", "-")


def _with_flags(text, options):
    """Returns a text with flags for arguments: `--corrupt skip`.

    Args:
        text: str. It may have arguments like `corrupt='skip'`.
        options: see `explained`.
    """

    def as_flag(found):
        name, value = found[1], found[2]
        if name not in options:
            return found[0]
        return flag(name) if value == "True" else f"{flag(name)} {value}"

    return re.sub(r"\b(\w+)='?(True|[^\s',]*[^\s',.])'?", as_flag, text)

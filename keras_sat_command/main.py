"""The program `keras-sat`: finds the command, runs it, and ends as in Unix."""

import contextlib
import importlib
import importlib.metadata
import inspect
import logging
import os
import shlex
import sys
import tempfile
import traceback

from keras_sat_command import commands
from keras_sat_command import flags
from keras_sat_command import problems

HELP = """\
usage: keras-sat [--debug] COMMAND ...
       keras-sat --version

Trains image classifiers that withstand adversarial perturbations, and measures
how robust they are.

{listing}

`keras-sat COMMAND --help` shows the flags of a command. Results go to the
standard output, all else to the standard error. Before the command, --debug
shows the log of TensorFlow, and where an error comes from.
"""


def main(words=None):
    """Runs a command, and ends the process.

    Args:
        words: list of str. What is written behind `keras-sat`. Defaults to
            that of this process.

    Raises:
        SystemExit: Always, with the exit code: 0; 1 for a failure; 2 for a
            wrong command line; 70 for a fault of the program; 75 where SIGTERM
            has ended a training that is saved; 130 for Ctrl-C; 141 for a
            closed pipe.
    """
    words = sys.argv[1:] if words is None else list(words)
    debug = words[:1] == ["--debug"]
    try:
        code = _run(words[debug:], debug)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would fail to write once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = problems.CLOSED_PIPE
    raise SystemExit(code)


def _run(words, debug):
    """Runs a command and returns its exit code."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP.format(listing=commands.listing()), end="")
        return 0 if words else problems.WRONG_USAGE
    if words == ["--version"]:
        print(f"keras_sat {importlib.metadata.version('keras_sat')}")
        return 0
    command, rest = commands.find(words)
    if command is None:
        return _unknown(words)
    try:
        prog = f"keras-sat {command.words}"
        call = flags.parsed(command.function, rest, prog)
        if call is None:
            return 0
        _prepare(debug)
        # What is printed on the way is not the result.
        with contextlib.redirect_stdout(sys.stderr):
            text = call()
        if text:
            print(text)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        return _interrupted(command, words)
    except Exception as error:
        if debug:
            traceback.print_exc()
        options = _options(command.function)
        text, code = problems.explained(error, options)
        return _failed(text, code)
    return 0


def _options(function):
    """Returns the names of the arguments that are flags."""
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def _unknown(words):
    """Says which commands there are in place of a wrong one."""
    known = {command.words.split()[0] for command in commands.COMMANDS}
    if words[0] in known:
        listing = commands.listing(words[0])
        if words[1:2] in (["--help"], ["-h"]):
            print(f"usage: keras-sat {words[0]} ...\n\n{listing}")
            return 0
    names = ", ".join(command.words for command in commands.COMMANDS)
    shown = shlex.join(words[: 1 + (words[0] in known)])
    return _failed(
        f"no command {shown!r}; there are: {names}", problems.WRONG_USAGE
    )


def _failed(text, code):
    """Prints an error in one line, and returns the exit code."""
    print(f"keras-sat: {text}", file=sys.stderr)
    return code


def _interrupted(command, words):
    """Says how to go on after Ctrl-C, and returns the exit code."""
    text = "interrupted"
    if command.goes_on:
        text += (
            "; the same command goes on from what is saved: "
            f"keras-sat {shlex.join(words)}"
        )
    return _failed(text, problems.INTERRUPTED)


def _prepare(debug):
    """Imports TensorFlow, with its log only if that is wanted.

    Args:
        debug: bool. Whether it is.
    """
    # Whatever Keras is configured for elsewhere.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if debug:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.disable(logging.INFO)
    logging.basicConfig(format="keras-sat: %(message)s")
    with _silenced():
        importlib.import_module("tensorflow")


@contextlib.contextmanager
def _silenced():
    """Keeps the standard error, and shows it if an import fails.

    TensorFlow writes to it while it is imported, whatever its log level is.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        before = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield
        except ImportError:
            file.seek(0)
            os.write(before, file.read())
            raise
        finally:
            os.dup2(before, 2)
            os.close(before)

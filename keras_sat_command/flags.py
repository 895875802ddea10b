"""Flags that are read from the signature and docstring of a function.

The package tyro reads them. Here, its texts become plain ones: errors one line,
and help the same in a terminal, a pipe and a file.
"""

import contextlib
import functools
import inspect
import io
import re
from typing import Annotated

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from keras_sat_command import problems

# The words of a command come first, and each flag has one spelling.
CONFIG = (
    tyro.conf.PositionalRequiredArgs,
    tyro.conf.PositionalMetavarFromFieldName,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.DisallowNone,
)
# A line that tyro draws under a title.
RULE = re.compile(r" *-{4,} *")
# Defaults that say nothing.
NOTHING = re.compile(r"\s+\((default:\s+(None|False)?|required)\)")


def _number(text):
    """Returns the number that a text like `0.03` or `8/255` stands for."""
    above, slash, below = text.partition("/")
    try:
        return float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        raise ValueError(
            f"expected a number like 0.03 or 8/255, not {text!r}"
        ) from None


def _written(value):
    """Returns a default as it stands in the help."""
    levels = 255 * value
    if value and levels < 255 and abs(levels - round(levels)) < 1e-9:
        return [f"{round(levels)}/255"]
    return [f"{value:g}"]


def _whole(text):
    """Returns the whole number that a text stands for."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"expected a whole number, not {text!r}") from None


def _optional(read, metavar, count=1):
    """Returns how tyro reads one or more values of a flag without a default.

    Args:
        read: function from a word to a value.
        metavar: str. What the help calls the values.
        count: int. How many there are. Defaults to `1`.
    """

    def read_all(words):
        values = tuple(map(read, words))
        return values if count > 1 else values[0]

    return PrimitiveConstructorSpec(
        nargs=count,
        metavar=metavar,
        instance_from_str=read_all,
        is_instance=lambda value: True,
        str_from_instance=lambda value: ["None"],
    )


NUMBER = PrimitiveConstructorSpec(
    nargs=1,
    metavar="NUMBER",
    instance_from_str=lambda words: _number(words[0]),
    is_instance=lambda value: isinstance(value, float),
    str_from_instance=_written,
)
# A number, also as a fraction: `8/255`.
Number = Annotated[float, NUMBER]
OptionalNumber = Annotated[float | None, _optional(_number, "NUMBER")]
OptionalPair = Annotated[tuple | None, _optional(_number, "LOW HIGH", 2)]
OptionalWhole = Annotated[int | None, _optional(_whole, "INT")]


def parsed(function, words, prog):
    """Returns a call of a function with the values that flags give.

    Args:
        function: the function of a command.
        words: list of str. What is written behind the command.
        prog: str. The command, for messages.

    Returns:
        Callable without arguments; `None` if the help was asked for.

    Raises:
        CommandError: If the words are wrong.
    """

    @functools.wraps(function)
    def call(*args, **kwargs):
        return functools.partial(function, *args, **kwargs)

    # What tyro looks at, in place of the function itself.
    call.__signature__ = inspect.signature(function)
    call.__doc__ = _unwrapped(function.__doc__)
    del call.__wrapped__
    output, errors = io.StringIO(), io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(errors),
        ):
            return tyro.cli(call, prog=prog, args=words, config=CONFIG)
    except SystemExit as end:
        if end.code:
            problem = f"{_one_line(errors.getvalue())} (see {prog} --help)"
            raise problems.CommandError(problem, problems.WRONG_USAGE) from None
        print(_plain(output.getvalue()), end="")
        return None


def _unwrapped(text):
    """Returns a docstring with each argument in one line, however long."""
    return re.sub(r"\n {12,}(?=\S)", " ", text)


def _plain(text):
    """Returns a help of tyro without lines that only decorate it."""
    lines = [line.rstrip() for line in NOTHING.sub("", text).splitlines()]
    plain = []
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if RULE.fullmatch(below):
            line = line.strip() + ":"
        elif RULE.fullmatch(line):
            continue
        plain.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(plain).strip()) + "\n"


def _one_line(text):
    """Returns what an error of tyro says, in one line."""
    # A title, a rule, the error, and perhaps a rule and more.
    _, problem, *_ = RULE.split(text)
    missing = re.search("Missing from .*:", problem)
    if missing:
        names = re.findall(r"^ {6}(\S+) *$", problem, re.MULTILINE)
        return f"{' and '.join(names)} missing"
    line = " ".join(problem.split())
    return re.sub(r"^Error parsing (\S+):", r"\1:", line).rstrip(".")

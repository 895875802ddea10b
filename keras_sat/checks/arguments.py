"""Checks of arguments, and the form that all their errors have."""

import math
import numbers
import os


def refuse(name, expected, value, fix="", error=ValueError):
    """Raises an error that says what was expected and what was received.

    Args:
        name: str. The argument.
        expected: str. Completes "`name` must ...".
        value: any object that was received, or a `Described`.
        fix: str. A sentence that says what the user can do.
        error: class. `TypeError` for a wrong kind, `ValueError` for a wrong
            value. Defaults to `ValueError`.

    Raises:
        error: Always.
    """
    received = f": {name}={value!r}"
    if isinstance(value, Described):
        received = f" {value}"
    raise error(f"`{name}` must {expected}. Received{received}. {fix}".strip())


class Described(str):
    """A description of a value that is too large to be shown, like an array."""


def path(name, value):
    """Returns a path as str; refuses anything else."""
    if not isinstance(value, str | os.PathLike):
        refuse(name, "be a path", value, error=TypeError)
    return os.fspath(value)


def one_of(name, value, known):
    """Checks that `value` is one of some words; the error lists them."""
    if not isinstance(value, str) or value not in known:
        refuse(name, f"be one of {sorted(known)}", value)


def lookup(name, key, table):
    """Returns `table[key]`; the error lists the keys."""
    one_of(name, key, table)
    return table[key]


def real(name, value, above=-math.inf, least=-math.inf, fix=""):
    """Checks that `value` is finite, more than `above`, at least `least`."""
    # In Python, True is an integer.
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        refuse(name, "be a number", value, fix, TypeError)
    if not math.isfinite(value):
        refuse(name, "be finite", value, fix)
    if value <= above:
        refuse(name, f"be greater than {above}", value, fix)
    if value < least:
        refuse(name, f"be at least {least}", value, fix)


def integer(name, value, least=1):
    """Checks that `value` is an integer, `least` or more."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        refuse(name, "be an integer", value, error=TypeError)
    if value < least:
        refuse(name, f"be at least {least}", value)


def probability(name, value):
    """Checks that `value` is a number in `[0, 1]`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        refuse(name, "be a number", value, error=TypeError)
    if not 0 <= value <= 1:
        refuse(name, "lie in [0, 1]", value)


def value_range(value):
    """Checks that `value` is a pair of finite numbers, the lower one first."""
    expected = "be a pair (low, high) of finite numbers with low < high"
    if not isinstance(value, tuple | list) or len(value) != 2:
        refuse("value_range", expected, value)
    for bound in value:
        real("value_range", bound)
    if not value[0] < value[1]:
        refuse("value_range", expected, value)

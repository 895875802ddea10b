"""Checks of arguments, and the form that all their errors have."""

import collections
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


def class_names(value, num_classes):
    """Returns the names of classes as a list of str, or refuses them.

    Args:
        value: sequence of str, a different one for each class.
        num_classes: int. How many classes there are.
    """
    kind = "be a sequence of str"
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        refuse("class_names", kind, value, error=TypeError)
    names = list(value)
    if not all(isinstance(name, str) for name in names):
        refuse("class_names", kind, value, error=TypeError)
    if len(names) != num_classes:
        refuse(
            "class_names",
            f"have one entry for each of the {num_classes} classes",
            Described(f"{len(names)} names"),
        )
    counts = collections.Counter(names)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        refuse(
            "class_names",
            "differ from each other",
            Described(f"these more than once: {repeated[:10]}"),
            "Add what tells the classes apart, such as their numbers.",
        )
    return names

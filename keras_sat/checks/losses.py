"""Checks that losses and metrics take logits, not probabilities."""

import inspect

import keras

from keras_sat.checks.arguments import Described
from keras_sat.checks.arguments import refuse

# Classes and functions that take probabilities and have no `from_logits`.
_ON_PROBABILITIES = {
    "Dice",
    "KLDivergence",
    "Poisson",
    "Tversky",
    "dice",
    "kl_divergence",
    "poisson",
    "tversky",
}
# For these names, Keras chooses a function by the shape of the labels. Those of
# the cross-entropy take probabilities.
_CROSSENTROPY, _ACCURACY = ("ce", "crossentropy"), ("acc", "accuracy")


def takes_logits(name, value):
    """Refuses losses and metrics that would take logits for probabilities.

    Args:
        name: str. The argument, `"loss"` or one of metrics.
        value: names, functions, objects and configurations, or lists and dicts
            of them, like for `keras.Model.compile`.

    Raises:
        ValueError: If one of them takes probabilities, or is not known.
    """
    if isinstance(value, dict) and "class_name" not in value:
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            takes_logits(name, part)
        return
    if value is None or isinstance(value, str) and value in _ACCURACY:
        return
    found = _found(name, value)
    if found is not None and _is_for_logits(found):
        return
    fix = "Use `keras_sat.CrossEntropy()`."
    if found is None or _parameter(found) is not None:
        fix = "Give it `from_logits=True`, as in " + (
            "`keras.losses.SparseCategoricalCrossentropy(from_logits=True)`, "
            "or use `keras_sat.CrossEntropy()`."
            if name == "loss"
            else "`keras.metrics.SparseCategoricalCrossentropy("
            "from_logits=True)`."
        )
    elif name != "loss":
        fix = ""
    refuse(name, "be of logits, which the network returns", _shown(value), fix)


def _found(name, value):
    """Returns the object, class or function for a name or a configuration."""
    if not isinstance(value, str | dict):
        return value
    if isinstance(value, str) and value in _CROSSENTROPY:
        return None
    # `get` would make an object of a class. The next one would then get another
    # name in the logs, like "auc_1".
    module = getattr(keras, "losses" if name == "loss" else "metrics")
    if isinstance(value, str) and hasattr(module, value):
        return getattr(module, value)
    try:
        return module.get(value)
    except (ValueError, TypeError) as error:
        return refuse(
            name,
            "be known to Keras, an object or a function",
            Described(f"{name}={value!r} ({str(error):.200})"),
        )


def _is_for_logits(found):
    """Tells if an object, class or function takes logits."""
    if _ON_PROBABILITIES & {type(found).__name__, _function_name(found)}:
        return False
    return _parameter(found) in (None, True)


def _parameter(found):
    """Returns the `from_logits` of an object or function, `None` without it."""
    for attribute in ("from_logits", "_from_logits"):
        if hasattr(found, attribute):
            return bool(getattr(found, attribute))
    function = _function(found)
    bound = getattr(found, "_fn_kwargs", {})
    if "from_logits" in bound:
        return bool(bound["from_logits"])
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None
    parameter = parameters.get("from_logits")
    if parameter is None:
        return None
    return parameter.default is True


def _function(found):
    """Returns the function that a wrapper of Keras calls, or `found` itself."""
    for attribute in ("fn", "_fn"):
        if callable(getattr(found, attribute, None)):
            return getattr(found, attribute)
    return found


def _function_name(found):
    return getattr(_function(found), "__name__", None)


def _shown(value):
    """Returns a function or object by its name, without its address."""
    if isinstance(value, str | dict):
        return value
    found = getattr(value, "__name__", None) or type(value).__name__
    return Described(f"{found}, which is for probabilities")

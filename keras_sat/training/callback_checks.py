"""Checks of callbacks, and of what they monitor, before the first step."""

import string

import keras

from keras_sat import checks
from keras_sat.optimizers import inner
from keras_sat.weights import averaging

# Keras looks for the direction ("max" or "min") of these only when the first
# epoch has ended.
DIRECTED = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
)
SETS_LEARNING_RATE = (
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ReduceLROnPlateau,
)


def listed(callbacks):
    """Returns the callbacks that `fit` was given, in a flat list.

    Args:
        callbacks: callback, nested list of them, `keras.callbacks.CallbackList`
            or `None`.
    """
    if callbacks is None:
        return []
    return [
        one
        for given in keras.tree.flatten(callbacks)
        for one in getattr(given, "callbacks", [given])
    ]


def check(model, callbacks, validated):
    """Refuses callbacks that would fail, or do nothing, after an epoch.

    The mode "auto" of a callback that monitors an accuracy becomes "max", where
    Keras would find no direction.

    Args:
        model: compiled `SATModel`.
        callbacks: list of `keras.callbacks.Callback`.
        validated: bool. Whether `fit` is given images for validation.

    Raises:
        ValueError: If one cannot work with this model.
    """
    logs = _Logs(model, validated)
    for callback in callbacks:
        _check_averages(callback, model)
        _check_learning_rate(callback, model)
        logs.check(callback)
        if isinstance(callback, DIRECTED):
            _find_direction(callback, logs)
        logs.add_those_of(callback)


def _check_averages(callback, model):
    """Refuses callbacks of Keras that do not fit the moving averages."""
    averaged = averaging.are_kept(model)
    received = checks.Described(
        f"{type(callback).__name__} and an optimizer with use_ema={averaged}"
    )
    if isinstance(callback, keras.callbacks.BackupAndRestore) and averaged:
        checks.refuse(
            "callbacks",
            "save the weights that are trained, to go on from them",
            received,
            "BackupAndRestore would save their averages only. Use "
            "keras_sat.callbacks.Resume(directory).",
        )
    if not isinstance(callback, keras.callbacks.SwapEMAWeights):
        return
    if not averaged:
        checks.refuse(
            "callbacks",
            "find moving averages, if they swap them in",
            received,
            "Compile with an optimizer that has use_ema=True.",
        )
    if callback.swap_on_epoch:
        checks.refuse(
            "callbacks",
            "leave averages and weights where they are",
            received,
            "SATModel validates and saves the averages by itself: leave out "
            "SwapEMAWeights(swap_on_epoch=True).",
        )


def _check_learning_rate(callback, model):
    """Refuses a callback that changes the rate, if a schedule gives it."""
    optimizer = inner(model.optimizer)
    rate = optimizer.get_config().get("learning_rate")
    # A schedule is described by a dict, a number by itself.
    if isinstance(callback, SETS_LEARNING_RATE) and isinstance(rate, dict):
        checks.refuse(
            "learning_rate",
            f"be a number for {type(callback).__name__}, which changes it",
            checks.Described(f"a {rate.get('class_name')} in the optimizer"),
            "Leave out the callback, or compile with a number.",
        )


def _find_direction(callback, logs):
    """Replaces the mode "auto" where Keras would fail after the first epoch."""
    if callback.mode != "auto" or callback.monitor_op is not None:
        return
    name = callback.monitor.removeprefix("val_")
    if name == "loss" or name in logs.directed:
        return
    if not name.endswith("accuracy"):
        checks.refuse(
            "mode",
            f"be 'max' or 'min' to monitor {callback.monitor!r} with "
            f"{type(callback).__name__}",
            callback.mode,
            "mode='max' is for what should be high, as accuracies.",
        )
    callback.mode = "max"


class _Logs:
    """The names of the values that `fit` logs, as far as they can be known.

    Args:
        model: compiled `SATModel`.
        validated: bool. Whether `fit` is given images for validation.
    """

    def __init__(self, model, validated):
        compiled = _compiled_metrics(model)
        own = {metric.name for metric in model.metrics}
        names = own | {_name(metric) for metric in compiled}
        names -= {"compile_metrics"}
        self.directed = {_name(m) for m in compiled if _has_direction(m)}
        self._steps = names - {"clean_accuracy"}
        self._epochs = set(self._steps)
        if validated:
            self._epochs |= {f"val_{name}" for name in names}
        # Models and metrics of users may log under any name.
        self._complete = _is_known(model) and all(map(_is_known, compiled))

    def add_those_of(self, callback):
        """Adds the names that a callback logs for those after it."""
        self._epochs |= set(getattr(callback, "adds_logs", ()))
        if isinstance(callback, SETS_LEARNING_RATE):
            self._epochs.add("learning_rate")
        if not _is_known(callback) or isinstance(
            callback, keras.callbacks.LambdaCallback
        ):
            self._complete = False

    def check(self, callback):
        """Refuses a callback that monitors what is never logged."""
        if not self._complete:
            return
        saves = isinstance(callback, keras.callbacks.ModelCheckpoint)
        names = self._epochs
        if saves and callback.save_freq != "epoch":
            names = self._steps
        if saves:
            self._check_path(callback.filepath, names)
            if not callback.save_best_only:
                return
        looks = isinstance(callback, DIRECTED) or _is_known(callback)
        monitor = getattr(callback, "monitor", None)
        if looks and isinstance(monitor, str) and monitor not in names:
            checks.refuse(
                "monitor",
                f"be one of {sorted(names)} for {type(callback).__name__}",
                monitor,
                "Those of validation need `validation_data`.",
            )

    def _check_path(self, path, names):
        """Refuses a path with a field that Keras could not fill in."""
        fields = {name for _, name, _, _ in string.Formatter().parse(path)}
        unknown = fields - names - {None, "", "epoch", "batch"}
        if unknown:
            checks.refuse(
                "filepath",
                f"have fields among {sorted(names | {'epoch', 'batch'})}",
                path,
                "Those of validation need `validation_data`.",
            )


def _compiled_metrics(model):
    """Returns the metrics that `compile` was given, names or objects."""
    compiled = getattr(model, "_compile_metrics", None)
    if compiled is None:
        return []
    given = compiled._user_metrics, compiled._user_weighted_metrics
    return [m for m in keras.tree.flatten(given) if m is not None]


def _name(metric):
    """Returns the name under which Keras logs a metric.

    Args:
        metric: str, `keras.metrics.Metric` or function.
    """
    if isinstance(metric, str):
        return metric
    return getattr(metric, "name", None) or metric.__name__


def _has_direction(metric):
    """Returns `True` if Keras knows whether more of a metric is better."""
    if metric in ("accuracy", "acc"):
        return True
    return hasattr(keras.metrics.get(metric), "_direction")


def _is_known(part):
    """Returns `True` for what Keras or this package defines.

    Args:
        part: str, class, function or object.
    """
    if isinstance(part, str):
        return True
    kind = part if hasattr(part, "__name__") else type(part)
    return kind.__module__.split(".")[0] in ("keras", "keras_sat")

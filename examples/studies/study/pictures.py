"""Pictures of studies: clean against robust accuracy, with intervals."""

import math

from matplotlib.figure import Figure

import keras_sat
from study import statistics
from study import tables

MARKERS = "osD^vP*X"


def scatter(rows, study, path):
    """Draws the mean of each arm, with 95 % intervals in both directions.

    Args:
        rows: list of dicts, as they are in the CSV.
        study: `Study`.
        path: str. Where to save the PNG.
    """
    figure, axis = _empty("clean accuracy", "robust accuracy")
    present = {row["arm"] for row in rows}
    for i, arm in enumerate(arm for arm in study.arms if arm in present):
        clean, robust = (
            statistics.interval(list(tables.values(rows, arm, c).values()))
            for c in tables.COMPARED
        )
        axis.errorbar(
            clean.mean,
            robust.mean,
            xerr=_shown(clean.margin),
            yerr=_shown(robust.margin),
            fmt=MARKERS[i // len(keras_sat.plots.COLORS) % len(MARKERS)],
            color=_color(i),
            capsize=3,
            ms=5,
            lw=1,
            label=arm,
        )
    _finish(figure, axis, path)


def curves(rows, arms, columns, x_label, path):
    """Draws accuracies over a number, as means with bands of 95 %.

    Args:
        rows: list of dicts, as they are in the CSV.
        arms: sequence of str.
        columns: dict from numbers to the columns with the accuracies there.
        x_label: str.
        path: str. Where to save the PNG.
    """
    figure, axis = _empty(x_label, "accuracy")
    present = {row["arm"] for row in rows}
    for i, arm in enumerate(arm for arm in arms if arm in present):
        found = [
            statistics.interval(list(tables.values(rows, arm, c).values()))
            for c in columns.values()
        ]
        places = list(columns)
        means = [estimate.mean for estimate in found]
        axis.plot(places, means, "o-", color=_color(i), ms=3, lw=1, label=arm)
        low = [e.mean - _shown(e.margin) for e in found]
        high = [e.mean + _shown(e.margin) for e in found]
        axis.fill_between(places, low, high, color=_color(i), alpha=0.2, lw=0)
    _finish(figure, axis, path)


def _color(number):
    """Returns a color that can be told apart from its neighbours."""
    return keras_sat.plots.COLORS[number % len(keras_sat.plots.COLORS)]


def _shown(margin):
    """Returns a margin that can be drawn, where one run has none."""
    return 0.0 if math.isnan(margin) else margin


def _empty(x_label, y_label):
    """Returns a figure and its axis."""
    figure = Figure(figsize=(7.0, 4.5), layout="constrained", dpi=150)
    axis = figure.subplots()
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    axis.grid(color="#DDDDDD", lw=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    return figure, axis


def _finish(figure, axis, path):
    """Saves a figure; its accuracies are in %."""
    axis.yaxis.set_major_formatter("{x:.1%}")
    if "accuracy" in axis.get_xlabel():
        axis.xaxis.set_major_formatter("{x:.1%}")
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path)

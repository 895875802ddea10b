"""Pictures of studies: clean against robust accuracy, with intervals."""

import io
import math

import numpy as np
from matplotlib.figure import Figure

import keras_sat
from study import files
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


def curves(rows, arms, columns, x_label, path, log=False):
    """Draws accuracies over a number, as means with bands of 95 %.

    Args:
        rows: list of dicts, as they are in the CSV.
        arms: sequence of str.
        columns: dict from numbers to the columns with the accuracies there.
        x_label: str.
        path: str. Where to save the PNG.
        log: bool. Whether the numbers are drawn by their logarithms. Defaults
            to `False`.
    """
    figure, axis = _empty(x_label, "accuracy")
    if log:
        axis.set_xscale("log")
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


def arms_in_lines(rows, lines, x_label, path):
    """Draws the robust accuracy of arms that have a number each, as lines.

    Args:
        rows: list of dicts, as they are in the CSV.
        lines: dict from the name of each line to a dict from numbers to arms.
        x_label: str.
        path: str. Where to save the PNG.
    """
    figure, axis = _empty(x_label, "robust accuracy")
    present = {row["arm"] for row in rows}
    for i, (name, arms) in enumerate(lines.items()):
        places = [place for place, arm in arms.items() if arm in present]
        found = [
            statistics.interval(
                list(tables.values(rows, arms[p], "robust_accuracy").values())
            )
            for p in places
        ]
        axis.errorbar(
            places,
            [estimate.mean for estimate in found],
            yerr=[_shown(estimate.margin) for estimate in found],
            fmt="o-",
            color=_color(i),
            capsize=3,
            ms=4,
            lw=1,
            label=name,
        )
    _finish(figure, axis, path)


def surfaces(rows, arms, columns, path):
    """Draws the mean loss around images, a panel for each arm.

    Args:
        rows: list of dicts, as they are in the CSV.
        arms: sequence of str.
        columns: dict from pairs (along the gradient, across) of the same places
            in both directions to the columns with the losses there.
        path: str. Where to save the PNG.
    """
    present = {row["arm"] for row in rows}
    arms = [arm for arm in arms if arm in present]
    places = sorted({along for along, _ in columns})
    means = {
        arm: np.array(
            [[_mean(rows, arm, columns[a, b]) for a in places] for b in places]
        )
        for arm in arms
    }
    levels = np.linspace(
        min(m.min() for m in means.values()),
        max(m.max() for m in means.values()) + 1e-6,
        15,
    )
    figure = Figure(
        figsize=(2.6 * len(arms) + 1, 2.8), layout="constrained", dpi=150
    )
    axes = figure.subplots(1, len(arms), squeeze=False)[0]
    for axis, (arm, mean) in zip(axes, means.items(), strict=True):
        drawn = axis.contourf(places, places, mean, levels, cmap="viridis")
        axis.set_title(arm, fontsize=9)
        axis.set_xlabel("along the sign of the gradient")
    axes[0].set_ylabel("along random signs")
    figure.colorbar(drawn, ax=axes, label="mean loss")
    _save(figure, path)


def _mean(rows, arm, column):
    """Returns the mean of an arm over its seeds."""
    return statistics.interval(
        list(tables.values(rows, arm, column).values())
    ).mean


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
    _save(figure, path)


def _save(figure, path):
    """Writes a figure as PNG."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    files.write(path, content.getvalue())

"""Pictures of accuracies: of evaluations, and during training."""

import numpy as np

from keras_sat import checks
from keras_sat.plots import figures


def robustness_curves(
    accuracies, path=None, x_label="epsilon (fraction of the value range)"
):
    """Draws the robust accuracy of models over the size of perturbations.

    Args:
        accuracies: dict from the name of each model to a dict from `epsilon` to
            the accuracy in `[0, 1]`, or to the accuracies of several runs. Then
            the line is their mean, and a band reaches from the worst to the
            best.
        path: str or path-like. Where to save the picture, if given.
        x_label: str. The label of the axis, for inner dicts with other keys
            than `epsilon`, like numbers of steps.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If `accuracies` is empty, or some lie outside `[0, 1]`.

    Example:

    ```python
    plots.robustness_curves(
        {"relu": {0.0: 0.97, 0.1: 0.71}, "silu": {0.0: 0.98, 0.1: 0.78}}
    )
    ```
    """
    if not accuracies or not all(accuracies.values()):
        checks.refuse("accuracies", "hold a value for each model", accuracies)
    figure = figures.empty(6.0, 4.0)
    axis = figure.subplots()
    for i, (name, curve) in enumerate(accuracies.items()):
        epsilons = sorted(curve)
        runs = np.array([np.atleast_1d(curve[e]) for e in epsilons])
        if not ((runs >= 0) & (runs <= 1)).all():
            checks.refuse("accuracies", "lie in [0, 1]", accuracies)
        color = figures.COLORS[i % len(figures.COLORS)]
        axis.plot(epsilons, runs.mean(1), "o-", color=color, label=name, ms=4)
        worst, best = runs.min(1), runs.max(1)
        axis.fill_between(epsilons, worst, best, color=color, alpha=0.2, lw=0)
    axis.set_ylim(0, 1.02)
    axis.set_xlim(left=0)
    axis.yaxis.set_major_formatter("{x:.0%}")
    figures.label(axis, x_label, "accuracy")
    return figures.saved(figure, path)


def evaluation(accuracies, curves, path=None):
    """Draws the accuracies of an evaluation with their intervals, and curves.

    `RobustnessReport.plot` calls it.

    Args:
        accuracies: dict from what the images had to withstand to tuples of
            three floats in `[0, 1]`: the accuracy and the bounds of its
            interval.
        curves: dict from what changes, like `"epsilon"`, to a dict from its
            values to accuracies in `[0, 1]`. A panel for each; may be empty.
        path: str or path-like. Where to save the picture, if given.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If `accuracies` is empty.
    """
    if not accuracies:
        checks.refuse("accuracies", "hold at least one", accuracies)
    panels = 1 + len(curves)
    figure = figures.empty(4.0 * panels, 3.6)
    bars, *others = figure.subplots(1, panels, squeeze=False)[0]
    values = np.array(list(accuracies.values()), float)
    share, low, high = values.T
    places = np.arange(len(share))
    bars.bar(
        places,
        share,
        color=figures.COLORS[0],
        yerr=(share - low, high - share),
        capsize=4,
        error_kw={"ecolor": figures.COLORS[-1], "lw": 1},
    )
    bars.set_xticks(places, list(accuracies), rotation=30, ha="right")
    figures.label(bars, "after", "accuracy, 95% interval")
    for axis, (name, curve) in zip(others, curves.items(), strict=True):
        numbers = sorted(curve)
        heights = [curve[number] for number in numbers]
        axis.plot(numbers, heights, "o-", color=figures.COLORS[0], ms=4)
        figures.label(axis, name, "accuracy")
    for axis in (bars, *others):
        axis.set_ylim(0, 1.02)
        axis.yaxis.set_major_formatter("{x:.0%}")
    return figures.saved(figure, path)


def training_curves(history, path=None):
    """Draws the loss and the accuracies of a training, epoch by epoch.

    The lines of the validation set are dashed.

    Args:
        history: the object that `fit` returns, or a dict from the name of each
            metric to a list with its value after each epoch.
        path: str or path-like. Where to save the picture, if given.

    Returns:
        `matplotlib.figure.Figure`: the loss on the left, every metric with
        "accuracy" in its name on the right.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If `history` holds neither a loss nor an accuracy.

    Example:

    ```python
    history = model.fit(train_ds, epochs=10, validation_data=test_ds)
    plots.training_curves(history, "training.png")
    ```
    """
    logs = getattr(history, "history", history)
    panels = {
        kind: [name for name in logs if kind in name]
        for kind in ("loss", "accuracy")
    }
    if not any(panels.values()):
        checks.refuse("history", "hold a loss or an accuracy", logs)
    figure = figures.empty(9.0, 3.6)
    for axis, (kind, names) in zip(
        figure.subplots(1, 2), panels.items(), strict=True
    ):
        bases = list(dict.fromkeys(n.removeprefix("val_") for n in names))
        for name in names:
            base = name.removeprefix("val_")
            axis.plot(
                range(1, len(logs[name]) + 1),
                logs[name],
                "o-" if name == base else "o--",
                color=figures.COLORS[bases.index(base) % len(figures.COLORS)],
                ms=3,
                label=name,
            )
        axis.xaxis.get_major_locator().set_params(integer=True)
        if kind == "accuracy":
            axis.set_ylim(0, 1.02)
            axis.yaxis.set_major_formatter("{x:.0%}")
        figures.label(axis, "epoch", kind)
    return figures.saved(figure, path)

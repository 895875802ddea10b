"""Pictures of attacks, robustness, training and activations."""

import functools
import io
import os

import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat import extras
from keras_sat import files

# Colors that can be told apart with every common form of colour blindness
# (Okabe and Ito, 2008).
COLORS = "#0072B2 #D55E00 #009E73 #CC79A7 #E69F00 #56B4E9 #000000".split()
RIGHT, WRONG, GRID = "#00704F", "#B3261E", "#DDDDDD"


def perturbation_grid(
    images,
    adversarial,
    labels,
    clean_predictions,
    adversarial_predictions,
    class_names=None,
    value_range=(0.0, 1.0),
    path=None,
):
    """Draws clean images, adversarial images and their difference in a grid.

    The classes that the model predicts stand above the images: green if they
    are right, red and with the true class if they are wrong. In the row of the
    differences, gray means unchanged, and the largest change of all is black or
    white.

    Args:
        images: float array `(batch, height, width, channels)` in
            `value_range`, with 1 or 3 channels. Each image is a column.
        adversarial: float array like `images`.
        labels: int array `(batch,)`. The true classes.
        clean_predictions: int array `(batch,)`. The classes that are predicted
            for `images`.
        adversarial_predictions: int array `(batch,)`. The classes that are
            predicted for `adversarial`.
        class_names: list of str. Defaults to the class numbers.
        value_range: pair of floats. Black and white in the images. Defaults to
            `(0.0, 1.0)`.
        path: str or path-like. Where to save the picture, if given.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If the shapes do not fit together.

    Example:

    ```python
    adversarial = attack(model, images, labels)
    predicted = [
        np.argmax(model.predict(x), axis=-1) for x in (images, adversarial)
    ]
    plots.perturbation_grid(images, adversarial, labels, *predicted)
    ```
    """
    images = _in_unit_range(images, value_range)
    adversarial = _in_unit_range(adversarial, value_range)
    _check_images(images, adversarial)
    size = len(images)
    labels = _class_ids("labels", labels, size)
    clean = _class_ids("clean_predictions", clean_predictions, size)
    robust = _class_ids(
        "adversarial_predictions", adversarial_predictions, size
    )
    change = adversarial - images
    largest = max(float(np.abs(change).max()), 1e-12)
    difference = f"difference\n(up to {largest:.3f})"
    rows = (
        ("clean", images, clean),
        ("adversarial", adversarial, robust),
        (difference, change / largest / 2 + 0.5, None),
    )
    figure = _figure(1.1 * size + 0.9, 4.1)
    axes = figure.subplots(3, size, squeeze=False)
    names = class_names or range(1 + max(*labels, *clean, *robust))
    for row, (title, pictures, predictions) in zip(axes, rows, strict=True):
        row[0].set_ylabel(title)
        for i, (axis, picture) in enumerate(zip(row, pictures, strict=True)):
            _show(axis, picture)
            if predictions is not None:
                _name(axis, names, predictions[i], labels[i])
    return _saved(figure, path)


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
    figure = _figure(6.0, 4.0)
    axis = figure.subplots()
    for i, (name, curve) in enumerate(accuracies.items()):
        epsilons = sorted(curve)
        runs = np.array([np.atleast_1d(curve[e]) for e in epsilons])
        if not ((runs >= 0) & (runs <= 1)).all():
            checks.refuse("accuracies", "lie in [0, 1]", accuracies)
        color = COLORS[i % len(COLORS)]
        axis.plot(epsilons, runs.mean(1), "o-", color=color, label=name, ms=4)
        worst, best = runs.min(1), runs.max(1)
        axis.fill_between(epsilons, worst, best, color=color, alpha=0.2, lw=0)
    axis.set_ylim(0, 1.02)
    axis.set_xlim(left=0)
    axis.yaxis.set_major_formatter("{x:.0%}")
    _label(axis, x_label, "accuracy")
    return _saved(figure, path)


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
    figure = _figure(9.0, 3.6)
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
                color=COLORS[bases.index(base) % len(COLORS)],
                ms=3,
                label=name,
            )
        axis.xaxis.get_major_locator().set_params(integer=True)
        if kind == "accuracy":
            axis.set_ylim(0, 1.02)
            axis.yaxis.set_major_formatter("{x:.0%}")
        _label(axis, "epoch", kind)
    return _saved(figure, path)


def activations(functions, low=-4.0, high=4.0, path=None):
    """Draws activation functions, and their derivatives beside them.

    Args:
        functions: dict from a name to a function that maps a float tensor to
            one of the same shape.
        low: float. Where the curves begin. Defaults to `-4.0`.
        high: float > `low`. Where they end. Defaults to `4.0`.
        path: str or path-like. Where to save the picture, if given.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: If matplotlib is missing.
        TypeError: If `low` or `high` is not a number.
        ValueError: If `functions` is empty, or `high` is not above `low`.

    Example:

    ```python
    plots.activations({"relu": keras.ops.relu, "silu": keras.ops.silu})
    ```
    """
    if not functions:
        checks.refuse("functions", "hold at least one function", functions)
    checks.real("low", low)
    checks.real("high", high, above=low)
    x = tf.linspace(tf.constant(low, tf.float32), high, 801)
    figure = _figure(9.0, 3.6)
    left, right = figure.subplots(1, 2)
    for i, (name, function) in enumerate(functions.items()):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        style = {"color": COLORS[i % len(COLORS)], "label": name}
        left.plot(x, y, **style)
        right.plot(x, tape.gradient(y, x), **style)
    _label(left, "x", "f(x)")
    _label(right, "x", "f'(x)")
    return _saved(figure, path)


def _figure(width, height):
    """Returns an empty figure of a size in inches."""
    with extras.needed("plots"):
        # Unlike pyplot, the class has no global state and needs no display.
        from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=150)
    # Notebooks show what has this method, also where nobody imported pyplot.
    figure._repr_png_ = functools.partial(_png, figure)
    return figure


def _png(figure):
    """Returns a figure as the bytes of a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _saved(figure, path):
    """Returns a figure, after it was written to a file if there is a path."""
    if path is None:
        return figure
    path = checks.path("path", path)
    extension = os.path.splitext(path)[1]
    if not extension:
        extension = ".png"
        path += extension
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with files.replacing(path, extension) as temporary:
            figure.savefig(temporary)
    except OSError as error:
        checks.refuse(
            "path",
            "be a file that can be written",
            checks.Described(f"{path!r} ({error.strerror})"),
        )
    return figure


def _label(axis, x, y):
    """Gives an axis of curves its labels, its grid and its legend."""
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.grid(color=GRID, lw=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    if axis.lines:
        axis.legend(frameon=False)


def _in_unit_range(images, value_range):
    """Returns images with black at 0 and white at 1, as a float32 array."""
    low, high = value_range
    return (np.asarray(images, "float32") - low) / (high - low)


def _show(axis, picture):
    """Draws an image `(height, width, 1 or 3)` without a frame."""
    picture = np.broadcast_to(picture, (*picture.shape[:2], 3))
    axis.imshow(np.clip(picture, 0.0, 1.0), interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


def _name(axis, names, predicted, label):
    """Writes the predicted class above an image, and the true one if needed."""
    right = predicted == label
    title = f"{names[predicted]}"
    if not right:
        title += f" (is {names[label]})"
    axis.set_title(title, color=RIGHT if right else WRONG, fontsize=9)


def _check_images(images, adversarial):
    """Refuses images that cannot be drawn, or that differ in shape."""
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not len(images):
        checks.refuse(
            "images",
            "be of the shape (batch, height, width, 1 or 3)",
            checks.Described(f"the shape {images.shape}"),
        )
    if adversarial.shape != images.shape:
        checks.refuse(
            "adversarial",
            f"be of the shape {images.shape}, like `images`",
            checks.Described(f"the shape {adversarial.shape}"),
        )


def _class_ids(name, values, size):
    """Returns class ids as an array, or refuses them.

    Args:
        name: str. The argument, for errors.
        values: what was given.
        size: int. The number of images.
    """
    values = np.asarray(values)
    if values.shape != (size,) or values.dtype.kind not in "iu":
        checks.refuse(
            name,
            f"be {size} class ids, one per image",
            checks.Described(f"the shape {values.shape} of {values.dtype}"),
        )
    return values

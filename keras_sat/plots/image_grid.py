"""Pictures of attacks: images before and after, and what has changed."""

import numpy as np

from keras_sat import checks
from keras_sat.plots import figures

RIGHT, WRONG = "#00704F", "#B3261E"


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
    figure = figures.empty(1.1 * size + 0.9, 4.1)
    axes = figure.subplots(3, size, squeeze=False)
    names = class_names or range(1 + max(*labels, *clean, *robust))
    for row, (title, pictures, predictions) in zip(axes, rows, strict=True):
        row[0].set_ylabel(title)
        for i, (axis, picture) in enumerate(zip(row, pictures, strict=True)):
            _show(axis, picture)
            if predictions is not None:
                _name(axis, names, predictions[i], labels[i])
    return figures.saved(figure, path)


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

"""Checks of the images and labels of a batch."""

import dataclasses
import math

import numpy as np

from keras_sat.checks import outputs
from keras_sat.checks import scaling
from keras_sat.checks.arguments import Described
from keras_sat.checks.arguments import refuse


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchSpec:
    """A description of the batches that a classifier takes.

    Args:
        value_range: pair of floats. The values of black and of white.
        image_shape: tuple. Shape of one image; `None` in it stands for any
            size. By default, it is not known and not checked.
        num_classes: int. By default, it is not known and not checked.
        labelled: bool. Whether labels are needed. Defaults to `True`.
        slack: float >= 0. How far float images may leave the range because of
            rounding, as a fraction of its width. Defaults to `1e-4`.
    """

    value_range: tuple
    image_shape: tuple | None = None
    num_classes: int | None = None
    labelled: bool = True
    slack: float = 1e-4

    def check(self, images, labels=None, weights=None, number=0):
        """Checks a batch of concrete images and labels.

        Args:
            images: array `(batch, ...)`: float in `value_range`, or uint8.
            labels: array of integers `(batch,)` or `(batch, 1)`, or of
                probabilities `(batch, num_classes)`. Ignored unless
                `labelled`.
            weights: array `(batch,)` or `(batch, 1)`, or `None`.
            number: int >= 0. Number of the batch, for the error.

        Raises:
            TypeError: If images or labels have a type that cannot be used.
            ValueError: If their shapes or values are wrong.
        """
        try:
            images = _array("images", images)
            self._check_images(images)
            if self.labelled:
                labels = _array("labels", labels)
                _check_length("labels", labels, images)
                self._check_labels(labels)
            if self.labelled and weights is not None:
                weights = _array("sample_weight", weights)
                _check_length("sample_weight", weights, images)
                _check_weights(weights)
        except (TypeError, ValueError) as error:
            # Of the first batch, there is nothing to tell apart.
            if not number:
                raise
            where = f"This is batch {number}, counted from 0."
            raise type(error)(f"{error} {where}") from None

    def _check_images(self, images):
        if images.dtype.kind != "f" and images.dtype != np.uint8:
            refuse(
                "images",
                "be float, in `value_range`, or uint8",
                Described(f"dtype {images.dtype}"),
                "Cast the images to uint8 if they hold grey levels from 0 to "
                "255.",
                TypeError,
            )
        shape = (None, *(self.image_shape or (None,) * (images.ndim - 1)))
        if images.ndim < 2 or not _matches(images.shape, shape):
            refuse(
                "images",
                f"have the shape {_shown(shape)}",
                Described(f"shape {images.shape}"),
                _advice_on_channels(images.shape, shape),
            )
        # All uint8 values are in the range.
        if images.dtype != np.uint8:
            self._check_pixels(images)

    def _check_pixels(self, images):
        low, high = float(images.min()), float(images.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            refuse("images", "be finite", Described("NaN or infinite values"))
        black, white = self.value_range
        slack = self.slack * (white - black)
        if black - slack <= low and high <= white + slack:
            return
        refuse(
            "images",
            f"lie in `value_range`={tuple(self.value_range)}",
            Described(f"values in [{low:g}, {high:g}]"),
            _advice(low, high),
        )

    def _check_labels(self, labels):
        expected = (
            "be int class ids `(batch,)` or `(batch, 1)`, or probabilities "
            "`(batch, num_classes)`"
        )
        described = Described(f"dtype {labels.dtype} and shape {labels.shape}")
        is_integer = labels.dtype.kind in "iu"
        is_column = labels.ndim == 2 and labels.shape[1] == 1
        if (labels.ndim == 1 or is_column) and not is_integer:
            refuse("labels", expected, described, "Cast class ids to int32.")
        if is_column:
            labels = labels[:, 0]
        if labels.ndim not in (1, 2):
            refuse("labels", expected, described)
        if labels.ndim == 1:
            self._check_ids(labels)
        else:
            self._check_probabilities(labels, described)

    def _check_ids(self, labels):
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or (self.num_classes and high >= self.num_classes):
            refuse(
                "labels",
                f"lie in [0, num_classes={self.num_classes or '...'})",
                Described(f"class ids from {low} to {high}"),
            )

    def _check_probabilities(self, labels, described):
        if self.num_classes and labels.shape[1] != self.num_classes:
            refuse(
                "labels",
                f"have the shape (batch, {self.num_classes}), one probability "
                "for each class of the model",
                described,
            )
        # In half precision, a sum over many classes would be inexact.
        labels = labels.astype("float64")
        sums = labels.sum(axis=1)
        if not (labels.min() >= 0 and np.allclose(sums, 1, atol=1e-2)):
            refuse(
                "labels",
                "be probabilities that sum to 1 for each image",
                Described(f"sums from {sums.min():g} to {sums.max():g}"),
            )


def batch_spec(model, value_range, **options):
    """Returns a description of the batches that a classifier takes.

    Args:
        model: `SATModel`, `keras.Model` or function. The shape of images and
            the number of classes are read from its graph, if it has one.
        value_range: pair of floats. The values of black and of white.
        **options: fields of `BatchSpec`, which replace those of the graph.

    Returns:
        `BatchSpec`.

    Raises:
        ValueError: If the network scales pixels that are scaled already.
    """
    scaling.fits_value_range(model, value_range)
    image_shape, num_classes = outputs.known_shapes(model)
    known = {"image_shape": image_shape, "num_classes": num_classes}
    return BatchSpec(value_range=value_range, **(known | options))


def _array(name, value):
    """Returns a numeric NumPy array that is not empty; refuses the rest."""
    if isinstance(value, dict | list | tuple) or value is None:
        refuse(
            name,
            "be a single array",
            Described(f"a {type(value).__name__}"),
            error=TypeError,
        )
    array = np.asarray(value)
    # NumPy does not know it as a kind of float.
    if array.dtype.name == "bfloat16":
        array = array.astype("float32")
    if array.dtype.kind not in "biuf":
        dtype = Described(f"dtype {array.dtype}")
        refuse(name, "be numeric", dtype, error=TypeError)
    if array.ndim == 0 or len(array) == 0:
        refuse(name, "not be empty", Described(f"shape {array.shape}"))
    return array


def _check_length(name, array, images):
    if len(array) != len(images):
        refuse(
            name,
            f"have one entry for each of the {len(images)} images",
            Described(f"shape {array.shape}"),
        )


def _check_weights(weights):
    if weights.ndim != 1 and weights.shape[1:] != (1,):
        refuse(
            "sample_weight",
            "have the shape (batch,)",
            Described(f"shape {weights.shape}"),
        )
    if not np.isfinite(weights).all():
        refuse(
            "sample_weight", "be finite", Described("NaN or infinite values")
        )


def _advice(low, high):
    """Says how to correct images with pixels out of the range."""
    if low < 0 or high <= 1:
        return "Undo the normalization: it belongs into the model."
    return (
        "Divide the images by 255, or pass uint8; or give "
        "`value_range=(0, 255)` if the network takes that."
    )


def _advice_on_channels(shape, expected):
    """Says how to correct images in color for a gray network, or the reverse.

    Args:
        shape: tuple. That of the images.
        expected: tuple, with `None` for any size.
    """
    if not _matches(shape[:-1], expected[:-1]):
        return ""
    if (shape[-1], expected[-1]) == (3, 1):
        return (
            "Read them with channels=1, or give "
            "tf.image.rgb_to_grayscale(images)."
        )
    if (shape[-1], expected[-1]) == (1, 3):
        return "Repeat gray: tf.repeat(images, 3, axis=-1)."
    return ""


def _matches(shape, template):
    """Tells if a shape fits one with `None` for any size."""
    return len(shape) == len(template) and all(
        known in (None, size)
        for size, known in zip(shape, template, strict=True)
    )


def _shown(shape):
    """Returns a shape in words: "(batch, 32, any, 3)"."""
    sizes = ["batch", *("any" if n is None else str(n) for n in shape[1:])]
    return f"({', '.join(sizes)})"

"""Images and labels as two arguments, in the place of a dataset of both."""

import functools

import numpy as np
import tensorflow as tf

from keras_sat import checks


def takes_two_arrays(evaluate):
    """Decorates an evaluation of a dataset to take `x, y` as `fit` does.

    Both may be given by their place or by their name. What follows `dataset`
    follows `y` then.

    Args:
        evaluate: function of a model, a dataset and other arguments.

    Returns:
        Function of these arguments that takes two arrays, too.
    """

    @functools.wraps(evaluate)
    def evaluate_either(model, *args, x=None, y=None, **kwargs):
        if x is not None:
            if args or "dataset" in kwargs:
                checks.refuse(
                    "x",
                    "be left out, or be given in the place of `dataset`",
                    checks.Described("both"),
                    error=TypeError,
                )
            kwargs["dataset"] = x
        dataset = args[0] if args else kwargs.get("dataset")
        if y is None and len(args) > 1 and _is_array(dataset):
            y, args = args[1], [dataset, *args[2:]]
        if y is None and not _is_array(dataset):
            return evaluate(model, *args, **kwargs)
        pair = _pair(dataset, y)
        if args:
            args = [pair, *args[1:]]
        else:
            kwargs["dataset"] = pair
        return evaluate(model, *args, **kwargs)

    return evaluate_either


def _is_array(value):
    """Tells an array, of any framework, from a dataset."""
    if isinstance(value, np.ndarray):
        # One of objects may hold batches.
        return value.dtype != object
    is_dataset = isinstance(value, tf.data.Dataset)
    return hasattr(value, "__array__") and not is_dataset


def _pair(images, labels):
    """Returns images and their labels as the pair that is a dataset."""
    if not _is_array(images) and not isinstance(images, list):
        checks.refuse(
            "y",
            "be left out for a dataset that gives labels itself",
            checks.Described(f"it, and a {type(images).__name__}"),
            error=TypeError,
        )
    is_list = isinstance(labels, list | tuple)
    if not _is_array(labels) and not (is_list and np.ndim(labels)):
        checks.refuse(
            "y",
            "be the array of the labels of an array of images",
            labels,
            "Call evaluate_robustness(model, x, y), or give a dataset of "
            "batches (images, labels).",
            TypeError,
        )
    return images, labels

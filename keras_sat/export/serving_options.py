"""Checks and defaults of the options of a served classifier."""

from keras_sat import checks

TOP_K = 5
MAX_PIXELS = 25_000_000


def full_image_shape(image_shape, image_size):
    """Returns the shape of the images that a server takes, without `None`.

    Args:
        image_shape: tuple. What the network takes; `None` for any size.
        image_size: pair of int, or `None` for the size of the network.

    Returns:
        tuple of int: height, width and channels.
    """
    if len(image_shape) != 3:
        checks.refuse(
            "model",
            "take images (batch, height, width, channels)",
            checks.Described(f"images of the shape {image_shape}"),
        )
    height, width, channels = image_shape
    if image_size is None and None not in (height, width):
        return image_shape
    expected = f"be a pair of int that fits {image_shape}"
    if not isinstance(image_size, tuple | list) or len(image_size) != 2:
        checks.refuse("image_size", expected, image_size, error=TypeError)
    for size, known in zip(image_size, (height, width), strict=True):
        checks.integer("image_size", size)
        if known not in (None, size):
            checks.refuse("image_size", expected, image_size)
    return (*image_size, channels)


def checked_names(class_names, num_classes):
    """Returns the names of the classes, which default to their numbers.

    Args:
        class_names: sequence of str, or `None`.
        num_classes: int.

    Returns:
        list of str.
    """
    if class_names is None:
        return [str(number) for number in range(num_classes)]
    return checks.class_names(class_names, num_classes)


def checked_top_k(top_k, num_classes):
    """Returns the number of classes that an answer names."""
    if top_k is None:
        return min(TOP_K, num_classes)
    checks.integer("top_k", top_k)
    if top_k > num_classes:
        expected = f"be at most {num_classes}, the classes"
        checks.refuse("top_k", expected, top_k)
    return top_k

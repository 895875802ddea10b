"""Labels as class ids or probabilities, and predictions that match them."""

import tensorflow as tf

from keras_sat import checks


def canonical(labels):
    """Returns labels in the form that attacks and objectives compute with.

    Args:
        labels: integers of any dtype, `(batch,)` or `(batch, 1)`; or
            probabilities `(batch, num_classes)` of any dtype.

    Returns:
        int32 tensor `(batch,)`, or float32 tensor `(batch, num_classes)`.
    """
    labels = tf.convert_to_tensor(labels)
    if labels.dtype.is_integer and labels.shape[1:] == (1,):
        labels = tf.squeeze(labels, axis=1)
    ids = labels.dtype.is_integer and labels.shape.rank == 1
    return tf.cast(labels, tf.int32 if ids else tf.float32)


def check_classes(labels, logits):
    """Refuses labels of classes that a model does not have.

    Args:
        labels: tensor, as `canonical` returns it.
        logits: float tensor `(batch, num_classes)`. Ids can only be checked
            where they are concrete, outside of a `tf.function`.

    Raises:
        ValueError: If there are such labels.
    """
    count = logits.shape[-1]
    expected = None
    if labels.shape.rank == 2 and labels.shape[1] != count:
        expected = f"have one probability for each of the {count} classes"
        received = f"the shape {labels.shape}"
    elif labels.shape.rank == 1 and not tf.is_symbolic_tensor(labels):
        largest = int(tf.reduce_max(labels))
        if largest >= count:
            expected = f"lie in [0, num_classes={count})"
            received = f"class ids up to {largest}"
    if expected:
        checks.refuse("labels", expected, checks.Described(received))


def class_ids(labels):
    """Returns the class ids of labels.

    Args:
        labels: class ids `(batch,)`, or probabilities `(batch, num_classes)`,
            of which the largest counts.

    Returns:
        int32 tensor `(batch,)`.
    """
    labels = canonical(labels)
    if labels.shape.rank == 1:
        return labels
    return tf.argmax(labels, axis=-1, output_type=tf.int32)


def predicted_classes(logits):
    """Returns the class ids that logits predict.

    Args:
        logits: float tensor `(batch, num_classes)`.

    Returns:
        int32 tensor `(batch,)`.
    """
    return tf.argmax(logits, axis=-1, output_type=tf.int32)


def is_right(labels, logits):
    """Returns which predictions match their labels.

    Args:
        labels: class ids `(batch,)`, or probabilities `(batch, num_classes)`.
        logits: float tensor `(batch, num_classes)`.

    Returns:
        bool tensor `(batch,)`.
    """
    return predicted_classes(logits) == class_ids(labels)

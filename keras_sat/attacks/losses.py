"""Losses that attacks ascend: `(labels, logits) -> (batch,)`.

`labels` are int class ids `(batch,)`, or float probabilities
`(batch, num_classes)`; `logits` are `(batch, num_classes)`. Every loss grows
as the prediction moves away from the label.
"""

import tensorflow as tf

from keras_sat import checks


def class_ids(labels):
    """Class ids `(batch,)` of labels given as ids or as probabilities."""
    labels = tf.convert_to_tensor(labels)
    if labels.shape.rank == 1:
        return labels
    return tf.argmax(labels, axis=-1, output_type=tf.int32)


def cross_entropy(labels, logits):
    """Softmax cross-entropy, without label smoothing."""
    labels = tf.convert_to_tensor(labels)
    if labels.shape.rank == 1:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    labels = tf.cast(labels, logits.dtype)
    return tf.nn.softmax_cross_entropy_with_logits(labels, logits)


def margin(labels, logits):
    """Largest wrong logit minus the right one; positive if misclassified.

    Reference:
    - [Carlini and Wagner, 2017](https://arxiv.org/abs/1608.04644)
    """
    right, wrong = _right_and_wrong(class_ids(labels), logits)
    return wrong - right


def dlr(labels, logits):
    """Difference-of-logits ratio, invariant to shift and scale of the logits.

    `(max wrong logit - right logit) / (largest - third largest logit)`. Needs
    three classes or more.

    Reference:
    - [Croce and Hein, 2020](https://arxiv.org/abs/2003.01690)
    """
    if logits.shape[-1] < 3:
        checks.refuse(
            "num_classes",
            "be at least 3 for the DLR loss",
            logits.shape[-1],
            "Use the cross-entropy or margin loss.",
        )
    right, wrong = _right_and_wrong(class_ids(labels), logits)
    top = tf.math.top_k(logits, 3).values
    return (wrong - right) / (top[:, 0] - top[:, 2] + 1e-12)


def _right_and_wrong(ids, logits):
    """The logit of each label and the largest of the other logits."""
    is_right = tf.one_hot(ids, logits.shape[-1], True, False, dtype=tf.bool)
    right = tf.reduce_sum(tf.where(is_right, logits, 0), axis=-1)
    wrong = tf.reduce_max(tf.where(is_right, -float("inf"), logits), axis=-1)
    return right, wrong


LOSSES = {"cross_entropy": cross_entropy, "margin": margin, "dlr": dlr}


def get(loss):
    """Returns the loss function of a name; a callable is returned as it is.

    Args:
        loss: str, one of `"cross_entropy"`, `"margin"`, `"dlr"`; or a function
            `(labels, logits) -> (batch,)`.

    Raises:
        ValueError: If `loss` is a name that is not known.
    """
    return loss if callable(loss) else checks.lookup("loss", loss, LOSSES)

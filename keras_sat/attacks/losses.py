"""Losses that attacks raise: `(labels, logits) -> (batch,)`.

`labels` are int class ids `(batch,)`, or float probabilities
`(batch, num_classes)`; `logits` are `(batch, num_classes)`. Every loss grows
as the prediction moves away from the label.
"""

import tensorflow as tf

from keras_sat import checks
from keras_sat.predictions.labels import canonical
from keras_sat.predictions.labels import class_ids


def cross_entropy(labels, logits):
    """Returns the softmax cross-entropy, without label smoothing."""
    labels = canonical(labels)
    if labels.shape.rank == 1:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    labels = tf.cast(labels, logits.dtype)
    return tf.nn.softmax_cross_entropy_with_logits(labels, logits)


def margin(labels, logits):
    """Returns the largest wrong logit minus the right one.

    It is positive if the image is misclassified.

    Reference:
    - [Carlini and Wagner, 2017](https://arxiv.org/abs/1608.04644)
    """
    right, wrong = _right_and_wrong(class_ids(labels), logits)
    return wrong - right


def dlr(labels, logits):
    """Returns the difference-of-logits ratio (DLR).

    `(max wrong logit - right logit) / (largest - third largest logit)`. It is
    invariant to shift and scale of the logits, and needs three classes or more.

    Reference:
    - [Croce and Hein, 2020](https://arxiv.org/abs/2003.01690), section 4
    """
    _need_classes(3, "DLR", logits)
    right, wrong = _right_and_wrong(class_ids(labels), logits)
    top = tf.math.top_k(logits, 3).values
    return (wrong - right) / (top[:, 0] - top[:, 2] + 1e-12)


def targeted_cross_entropy(labels, targets, logits):
    """Returns minus the cross-entropy of `targets`; ignores `labels`."""
    del labels
    return -cross_entropy(targets, logits)


def targeted_margin(labels, targets, logits):
    """Returns the logit of the target minus the right one.

    Args:
        labels: classes to leave, as in the other losses.
        targets: int tensor `(batch,)`. Classes to reach.
        logits: float tensor `(batch, num_classes)`.
    """
    return _pick(logits, targets) - _pick(logits, class_ids(labels))


def targeted_dlr(labels, targets, logits):
    """Returns the difference-of-logits ratio towards given classes.

    `(target logit - right logit) / (largest logit - mean of third and fourth
    largest)`. It needs four classes or more.

    Args:
        labels: classes to leave, as in the other losses.
        targets: int tensor `(batch,)`. Classes to reach.
        logits: float tensor `(batch, num_classes)`.

    Reference:
    - [Croce and Hein, 2020](https://arxiv.org/abs/2003.01690), section 4
    """
    _need_classes(4, "targeted DLR", logits)
    top = tf.math.top_k(logits, 4).values
    scale = top[:, 0] - (top[:, 2] + top[:, 3]) / 2
    return targeted_margin(labels, targets, logits) / (scale + 1e-12)


def likely_wrong(labels, logits, count):
    """Returns the wrong classes with the largest logits, the largest first.

    Args:
        labels: as in the other losses.
        logits: float tensor `(batch, num_classes)`.
        count: int >= 1. How many classes to return; all wrong classes, if
            there are fewer.

    Returns:
        int32 tensor `(batch, count)`.
    """
    num_classes = logits.shape[-1]
    is_label = _is_class(class_ids(labels), logits)
    wrong = tf.where(is_label, -float("inf"), logits)
    return tf.math.top_k(wrong, min(count, num_classes - 1)).indices


def _need_classes(count, name, logits):
    """Refuses logits of fewer than `count` classes."""
    if logits.shape[-1] < count:
        checks.refuse(
            "num_classes",
            f"be at least {count} for the {name} loss",
            logits.shape[-1],
            "Use the cross-entropy or margin loss.",
        )


def _pick(logits, ids):
    """Returns the logit of one class for each image, `(batch,)`."""
    return tf.reduce_sum(tf.where(_is_class(ids, logits), logits, 0), axis=-1)


def _is_class(ids, logits):
    """Returns a bool tensor like `logits`, true at the class of each image."""
    return tf.one_hot(ids, logits.shape[-1], True, False, dtype=tf.bool)


def _right_and_wrong(ids, logits):
    """Returns the logit of each label, and the largest of the others."""
    is_label = _is_class(ids, logits)
    right = tf.reduce_sum(tf.where(is_label, logits, 0), axis=-1)
    wrong = tf.reduce_max(tf.where(is_label, -float("inf"), logits), axis=-1)
    return right, wrong


LOSSES = {"cross_entropy": cross_entropy, "margin": margin, "dlr": dlr}
# Losses that pull towards given classes: `(labels, targets, logits)`.
TARGETED_LOSSES = {
    "cross_entropy": targeted_cross_entropy,
    "margin": targeted_margin,
    "dlr": targeted_dlr,
}


def get(loss):
    """Returns the loss function of a name; a callable is returned as it is.

    Args:
        loss: str, one of `"cross_entropy"`, `"margin"`, `"dlr"`; or a function
            `(labels, logits) -> (batch,)`.

    Raises:
        ValueError: If `loss` is an unknown name.
    """
    return loss if callable(loss) else checks.lookup("loss", loss, LOSSES)


def get_targeted(loss):
    """Returns the loss `(labels, targets, logits) -> (batch,)` of a name.

    Args:
        loss: str, one of `"cross_entropy"`, `"margin"`, `"dlr"`.

    Raises:
        ValueError: If `loss` is not one of them.
    """
    return checks.lookup("loss", loss, TARGETED_LOSSES)

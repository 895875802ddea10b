"""Objectives: the loss that an attack ascends and that training descends."""

import abc
import dataclasses

import keras
import tensorflow as tf
from keras import ops

from keras_sat import checks
from keras_sat import config
from keras_sat.attacks import losses
from keras_sat.predictions.labels import class_ids


@keras.saving.register_keras_serializable("keras_sat")
class CrossEntropy(keras.losses.Loss):
    """Softmax cross-entropy of logits, for class ids and for probabilities.

    Args:
        label_smoothing: float in `[0, 1]`. Share of the label that is spread
            evenly over all classes. Defaults to `0.0`.
        name, reduction, dtype: as in every `keras.losses.Loss`.

    Example:

    ```python
    loss = keras_sat.CrossEntropy(label_smoothing=0.1)
    model.compile(loss=loss)
    ```
    """

    def __init__(self, label_smoothing=0.0, name="cross_entropy", **kwargs):
        checks.probability("label_smoothing", label_smoothing)
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        """Returns the loss of each example.

        Args:
            y_true: class ids `(batch,)`, or probabilities
                `(batch, num_classes)`.
            y_pred: logits `(batch, num_classes)`.
        """
        # Half precision is too coarse for the sum of exponentials.
        logits = ops.cast(y_pred, "float32")
        num_classes = logits.shape[-1]
        labels = ops.convert_to_tensor(y_true)
        if len(labels.shape) == 1:
            labels = ops.one_hot(ops.cast(labels, "int32"), num_classes)
        labels = ops.cast(labels, "float32")
        labels = (
            1 - self.label_smoothing
        ) * labels + self.label_smoothing / num_classes
        return ops.categorical_crossentropy(labels, logits, from_logits=True)

    def get_config(self):
        """Returns the arguments, in a form that Keras can save."""
        return super().get_config() | {"label_smoothing": self.label_smoothing}


class KLDivergence(keras.losses.Loss):
    """The KL divergence from `softmax(y_true)` to `softmax(y_pred)`.

    It is a `keras.losses.Loss`, which scales the mean for the number of
    replicas: a bare mean would be multiplied by it.
    """

    def call(self, y_true, y_pred):
        """Returns the divergence of each example.

        Args:
            y_true: logits `(batch, num_classes)`.
            y_pred: tensor like `y_true`.
        """
        expected = tf.nn.log_softmax(y_true)
        predicted = tf.nn.log_softmax(y_pred)
        return tf.reduce_sum(tf.exp(expected) * (expected - predicted), axis=-1)


class Known(keras.losses.Loss):
    """The mean of losses that are known; see `mean_loss`."""

    def call(self, y_true, y_pred):
        """Returns the given losses."""
        del y_true
        return y_pred


def mean_loss(values, weights):
    """Returns the mean of the losses of images, like any other Keras loss.

    It is scaled for the number of replicas.

    Args:
        values: float tensor `(batch,)`.
        weights: float tensor `(batch,)`, or `None`.
    """
    return Known(dtype="float32")(values, values, weights)


class Objective(config.Config, abc.ABC):
    """Base class of objectives; subclasses are frozen dataclasses.

    An objective decides four things of a training step: from which labels the
    attack moves away (`targets`), which loss training lowers (`__call__`), at
    which weights its gradient is taken (`descend`), and how often a batch is
    used (`replays`, `again`). A subclass implements `__call__`; the others have
    the defaults of plain adversarial training.
    """

    # How many updates a batch is used for.
    replays = 1
    # True if `descend` needs the gradients of all replicas.
    exchanges = False

    def targets(self, predict, images, labels):
        """Returns the labels that the attack moves away from.

        Args:
            predict: function from images to logits, in inference mode.
            images: float tensor, the clean images.
            labels: int `(batch,)` or probabilities `(batch, num_classes)`.

        Returns:
            `labels`, or probabilities `(batch, num_classes)`.
        """
        return labels

    def descend(self, descent):
        """Returns the gradients of an update: those at the present weights.

        Args:
            descent: `Descent`, the loss of the batch as a function of the
                weights.

        Returns:
            What `descent.gradients()` returns, here or at other weights.
        """
        return descent.gradients()

    def again(self, attack, images, adversarial, gradient):
        """Returns the images on which the batch is used the next time.

        Args:
            attack: `Attack` of the model, at its present size.
            images: float tensor, the clean images.
            adversarial: tensor like `images`. Those of this time.
            gradient: tensor like `images`. The gradient in them of the scaled
                loss; 0 where it overflowed.

        Returns:
            Tensor like `images`.
        """
        return adversarial

    @abc.abstractmethod
    def __call__(self, model, images, adversarial, labels, weights):
        """Returns the training loss.

        Args:
            model: `SATModel`. It is called with `training=True`; its
                `compute_loss` gives the compiled loss and the losses of its
                layers, scaled for the number of replicas.
            images: float tensor, the clean images.
            adversarial: tensor like `images`.
            labels: int `(batch,)` or probabilities `(batch, num_classes)`.
            weights: float tensor `(batch,)`, or `None`.

        Returns:
            Scalar loss, and the logits `(batch, num_classes)` of the
            adversarial images.
        """


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class AdversarialTraining(Objective):
    """The compiled loss on adversarial images only: the paper's objective.

    Reference:
    - [Madry et al., 2018](https://arxiv.org/abs/1706.06083)
    - [Xie et al., 2020](https://arxiv.org/abs/2006.14536)
    """

    def __call__(self, model, images, adversarial, labels, weights):
        """See `Objective.__call__`."""
        logits = model(adversarial, training=True)
        loss = model.compute_loss(adversarial, labels, logits, weights)
        return loss, logits


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class TRADES(Objective):
    """The compiled loss on clean images plus `beta` times a penalty.

    The penalty is the KL divergence from the predictions on clean images to
    those on adversarial images. The attack raises it, too: up to a constant it
    is the cross-entropy with the clean predictions as labels. Its gradient is
    zero at the clean images, so the attack needs a random start.

    Args:
        beta: float >= 0. Weight of the penalty. Defaults to `6.0`.

    Example:

    ```python
    model = keras_sat.SATModel(network, objective=keras_sat.TRADES(beta=3.0))
    ```

    Reference:
    - [Zhang et al., 2019](https://arxiv.org/abs/1901.08573)
    """

    beta: float = 6.0

    def __post_init__(self):
        checks.real("beta", self.beta, least=0)

    def targets(self, predict, images, labels):
        """Returns the predictions on the clean images.

        Cross-entropy with them as labels is the KL divergence from them, up to
        a constant: the attack that ascends the loss needs no change.
        """
        # The attack moves the images, and not these predictions.
        return tf.stop_gradient(tf.nn.softmax(predict(images)))

    def __call__(self, model, images, adversarial, labels, weights):
        """See `Objective.__call__`."""
        clean = model(images, training=True)
        robust = model(adversarial, training=True)
        loss = model.compute_loss(images, labels, clean, weights)
        # In float32, whatever the network computes in: a penalty near 0 is the
        # difference of numbers that are nearly equal.
        penalty = KLDivergence(dtype="float32")(clean, robust, weights)
        return loss + self.beta * penalty, robust


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class MART(Objective):
    """A boosted loss on adversarial images, plus a penalty that is weighted.

    It is `L(x') - log(1 - max over k != y of p_k(x'))
    + beta * (1 - p_y(x)) * KL(p(x) || p(x'))`, where `L` is the compiled loss,
    `x'` the adversarial image of `x`, `y` its class and `p` are probabilities.
    The second term keeps the likeliest wrong class away. The third counts most
    for images that are misclassified without an attack. With probabilities as
    labels, `y` is the class of the largest one.

    The code of the authors adds 1e-4 inside of the logarithm; here it is
    computed from the logits, and needs no such bound. With `beta=0` and two
    classes, it is twice the cross-entropy of the adversarial images.

    Args:
        beta: float >= 0. Weight of the penalty. Defaults to `5.0`.

    Example:

    ```python
    model = keras_sat.SATModel(network, objective=keras_sat.MART(beta=6.0))
    ```

    Reference:
    - [Wang et al., 2020](https://openreview.net/forum?id=rklOg6EFwS)
    - [The authors' code](https://github.com/YisenWang/MART)
    """

    beta: float = 5.0

    def __post_init__(self):
        checks.real("beta", self.beta, least=0)

    def __call__(self, model, images, adversarial, labels, weights):
        """See `Objective.__call__`."""
        clean = model(images, training=True)
        robust = model(adversarial, training=True)
        loss = model.compute_loss(adversarial, labels, robust, weights)
        clean, logits = tf.cast(clean, "float32"), tf.cast(robust, "float32")
        right = tf.one_hot(class_ids(labels), logits.shape[-1])
        doubt = 1 - tf.reduce_sum(right * tf.nn.softmax(clean), axis=-1)
        divergence = KLDivergence(reduction=None, dtype="float32")
        penalty = doubt * divergence(clean, logits)
        loss += mean_loss(_away_from_wrong(labels, logits), weights)
        return loss + self.beta * mean_loss(penalty, weights), robust


def _away_from_wrong(labels, logits):
    """Returns `-log(1 - p)` of the likeliest wrong class of each image.

    Args:
        labels: class ids `(batch,)`, or probabilities `(batch, num_classes)`.
        logits: float32 tensor `(batch, num_classes)`.
    """
    wrong = losses.likely_wrong(labels, logits, 1)[:, 0]
    # The probability of all others comes from their logits: 1 minus a
    # probability near 1 would have no digits left.
    is_wrong = tf.one_hot(wrong, logits.shape[-1], True, False, dtype=tf.bool)
    others = tf.where(is_wrong, -float("inf"), logits)
    return tf.reduce_logsumexp(logits, -1) - tf.reduce_logsumexp(others, -1)


def check_objective(name, objective):
    """Refuses what is neither an `Objective` nor `None`.

    Args:
        name: str. The argument, for errors.
        objective: what a user passed.

    Raises:
        TypeError: If it is something else.
    """
    if not isinstance(objective, Objective | None):
        checks.refuse(name, "be an Objective", objective, error=TypeError)

"""A warning when the attack fools another network than the one in training.

The attack runs with the moving statistics of batch normalization, the update
with those of the batch. Where the moving ones lag behind, the two are different
networks, and images that fool the first need not fool the second.
"""

import numpy as np
import tensorflow as tf
from absl import logging

from keras_sat.predictions.batch_statistics import normalizations
from keras_sat.predictions.batch_statistics import of_the_batch
from keras_sat.predictions.labels import is_right

# A measurement is two forward passes; a step is the work of five or more.
EVERY = 50
# If a tenth of the predictions differ, either way, then chance alone gives the
# gap of so many images a standard deviation of 0.03.
FEWEST_IMAGES = 100
# A share of the images.
LARGEST_GAP = 0.1


class Staleness:
    """Measures how far the moving statistics lag behind, and warns once.

    Every `EVERY` steps of training, a batch of adversarial images is classified
    twice more: with the moving statistics, and with those of the batch. Both
    times everything else is in inference mode, and no variable of the network
    changes. If the statistics of the batch are right much more often, two times
    in a row, then the attack fools another network than the one in training. A
    single time may be a leap of the weights, with which the moving statistics
    catch up in a few steps.

    The counts leave the compiled step in variables that are no part of the
    model, neither saved nor restored. Of several workers, each looks at its own
    images.

    Args:
        network: `keras.Model` that is trained.
        attack_statistics: str. See `SATModel`: nothing is measured unless it is
            `"moving"`. Defaults to `"moving"`.
    """

    def __init__(self, network, attack_statistics="moving"):
        self._network = network
        self._attack_statistics = attack_statistics
        self._strategy = tf.distribute.get_strategy()
        self._batches = _own(tf.constant(0, tf.int64))
        # The number of images, and of those that are classified right with the
        # statistics of the batch, and with the moving ones.
        self._counts = _own(tf.zeros(3))
        self._judged = np.zeros(3)
        self._steps = 0
        self._was_large = False
        self._warned = False

    def is_due(self):
        """Returns a bool tensor, `True` where this batch is to be measured.

        It is `None` where the attack uses no moving statistics.
        """
        if self._attack_statistics != "moving":
            return None
        if not normalizations(self._network):
            return None
        return (self._batches + 1) % EVERY == 0

    def measure(self, due, images, labels):
        """Counts the images and the right predictions, if it is time.

        Args:
            due: bool tensor `()`, or `None`.
            images: float tensor, adversarial images.
            labels: see `Attack.__call__`.

        Returns:
            float32 tensor `(3,)` for `add`, or `None`.
        """
        if due is None:
            return None

        def right():
            logits = self._network(images, training=False)
            hits = is_right(labels, logits)
            return tf.reduce_sum(tf.cast(hits, tf.float32))

        def counts():
            with of_the_batch(self._network):
                by_batch = right()
            count = tf.cast(tf.shape(images)[0], tf.float32)
            return tf.stack([count, by_batch, right()])

        return tf.cond(due, counts, lambda: tf.zeros(3))

    def add(self, counts):
        """Keeps what `measure` returned for a batch."""
        if counts is not None:
            self._batches.assign_add(1)
            self._counts.assign_add(counts)

    def watched(self, train, steps_per_call):
        """Returns a function that trains, and now and then judges the counts.

        Args:
            train: callable from an iterator to logs.
            steps_per_call: int. The number of batches that a call trains on.
        """

        def function(iterator):
            logs = train(iterator)
            self._steps += steps_per_call
            if self._steps >= EVERY and not self._warned:
                self._steps = 0
                self._judge()
            return logs

        return function

    def _judge(self):
        """Warns of the second large gap in a row, each of enough images."""
        replicas = self._strategy.experimental_local_results(self._counts)
        counts = sum(np.asarray(replica) for replica in replicas)
        count, by_batch, by_moving = counts - self._judged
        if count < FEWEST_IMAGES:
            return
        self._judged = counts
        is_large = by_batch - by_moving > LARGEST_GAP * count
        if is_large and self._was_large:
            self._warned = True
            logging.warning(
                "%s", words(self._network, by_batch / count, by_moving / count)
            )
        self._was_large = is_large


def _own(value):
    """Returns a variable of which each replica has its own copy.

    A Keras variable would be a part of the model, and be saved with it.
    """
    return tf.Variable(
        value,
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )


def words(network, by_batch, by_moving):
    """Returns the text of the warning.

    Args:
        network: `keras.Model` with batch normalization.
        by_batch: float. Accuracy with the statistics of the batch.
        by_moving: float. Accuracy with the moving statistics.
    """
    momenta = sorted({layer.momentum for layer in normalizations(network)})
    found = " and ".join(f"{momentum:g}" for momentum in momenta)
    remedy = (
        "Build the network with a momentum of 0.9 (`keras_sat."
        "convert_activations(network, momentum=0.9)` changes one that is "
        "there), or pass"
        if momenta[-1] > 0.9
        else "Try a lower learning rate or a larger batch, or pass"
    )
    return (
        f"The attack strikes a stale network: {by_batch:.0%} of the "
        "adversarial images are right with the batch statistics that training "
        f"uses, but {by_moving:.0%} with the moving statistics that the attack "
        "and `evaluate` use. Trust `evaluate`, not the `robust_accuracy` of "
        "`fit`. The moving statistics of batch normalization lag behind the "
        f"weights, with momentum {found}. {remedy} "
        '`SATModel(..., attack_statistics="batch")`.'
    )

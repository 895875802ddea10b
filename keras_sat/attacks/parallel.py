"""Pieces of an attack on several batches at once: on replicas or threads."""

import concurrent.futures
import os

import numpy as np
import tensorflow as tf

# There is no public way to flatten one nest like another one.
from tensorflow.python.util import nest

from keras_sat import distribution
from keras_sat.attacks.pieces import pieces_of
from keras_sat.distribution import xla

# More batches at once need more memory than they save time.
MOST_THREADS = 4


def usable_cores():
    """Returns the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Threads:
    """An attack in pieces, on a batch in each of some threads.

    Most operations on small images are too small to be shared between the cores
    of a processor. So each core gets a batch, up to four of them. Accelerators
    get one.

    Args:
        attack: `Attack`.
        network: `CompiledNetwork`.
    """

    def __init__(self, attack, network):
        self._pieces = pieces_of(attack, network)
        self._network = network

    @property
    def count(self):
        """How many batches are attacked at once."""
        # Python functions in a network are not made for several threads.
        if distribution.has_accelerator() or self._network.has_state:
            return 1
        return min(usable_cores(), MOST_THREADS)

    @property
    def fixed_size(self):
        """True if all batches must have one size: XLA compiles each size."""
        return self._network.uses_xla

    def begin(self, shares, seed):
        """Returns the states before the first step.

        Args:
            shares: list of tuples of images, labels and rows; see
                `Pieces.begin`. At most `count` of them.
            seed: int32 array `(2,)`.
        """
        return _in_threads(lambda s: self._pieces.begin(*s, seed), shares)

    def advance(self, states, seed, steps):
        """Returns the states some steps later.

        Args:
            states: list of states.
            seed, steps: see `Pieces.advance`.
        """
        return _in_threads(
            lambda s: self._pieces.advance(s, seed, steps), states
        )

    def agreed(self, seconds):
        """Returns a time that all workers take for the same.

        Args:
            seconds: float. How long a piece took here.
        """
        return seconds


class Replicas:
    """An attack in pieces, on a batch on each replica of a strategy.

    Args:
        attack: `Attack`.
        network: `CompiledNetwork`.
        strategy: `tf.distribute.Strategy`.
    """

    # All replicas get one shape.
    fixed_size = True

    def __init__(self, attack, network, strategy):
        self._pieces = pieces_of(attack, network)
        self._strategy = strategy
        self._graphs = {}
        # How many batches are attacked at once.
        self.count = strategy.num_replicas_in_sync

    def begin(self, shares, seed):
        """See `Threads.begin`."""
        return self._run(self._pieces.first_state, shares, seed)

    def advance(self, states, seed, steps):
        """See `Threads.advance`."""
        return self._run(self._pieces.next_state, states, seed, steps)

    def _run(self, function, shares, *others):
        """Runs a method of `Pieces` on each share, all at once."""
        name, network = function.__name__, self._pieces.network
        if name not in self._graphs:

            def everywhere(dealt, *others):
                return self._strategy.run(function, (dealt, *others))

            self._graphs[name] = tf.function(everywhere, autograph=False)
        # What an attack takes in the place of a seed may be a nest.
        others = tf.nest.map_structure(tf.constant, others)
        try:
            results = self._graphs[name](self._dealt(shares), *others)
        except tf.errors.OpError as error:
            obstacle = xla.obstacle_in(error, network.model())
            if not network.uses_xla or obstacle is None:
                raise
            network.without_xla(obstacle)
            self._graphs.clear()
            return self._run(function, shares, *others)
        return self._collected(results, len(shares))

    def _dealt(self, shares):
        """Returns one nest whose tensors have a value for each replica."""
        deal = self._strategy.experimental_distribute_values_from_function

        def of_all(*parts):
            # With fewer shares than replicas, several work on the last one.
            return deal(
                lambda context: tf.constant(
                    parts[min(context.replica_id_in_sync_group, len(parts) - 1)]
                )
            )

        return tf.nest.map_structure(of_all, *shares)

    def agreed(self, seconds):
        """See `Threads.agreed`."""
        if not self._several_workers:
            return seconds
        deal = self._strategy.experimental_distribute_values_from_function
        values = deal(lambda context: tf.constant([seconds], tf.float32))
        return float(np.mean(self._strategy.gather(values, axis=0)))

    @property
    def _several_workers(self):
        return distribution.several_workers(self._strategy)

    def _collected(self, results, count):
        """Returns the results of the shares, also of those on other workers."""
        parts = tf.nest.map_structure(self._parts, results)
        flat = nest.flatten_up_to(results, parts)
        return [
            tf.nest.pack_sequence_as(results, [part[i] for part in flat])
            for i in range(count)
        ]

    def _parts(self, value):
        """Returns a list of the arrays of all replicas."""
        if not self._several_workers:
            local = self._strategy.experimental_local_results(value)
            return list(map(np.asarray, local))
        # Workers send each other numbers, but no booleans.
        kind = value.dtype
        if kind == tf.bool:
            value = self._strategy.run(tf.cast, (value, tf.int32))
        joined = np.asarray(self._strategy.gather(value, axis=0))
        joined = joined.astype(kind.as_numpy_dtype)
        return np.split(joined, self._strategy.num_replicas_in_sync)


def in_parallel(attack, network, strategy=None):
    """Returns the `Threads` or `Replicas` that fit a strategy.

    Args:
        attack, network: see `Replicas`.
        strategy: see `Replicas`. Defaults to none.
    """
    if strategy is not None and strategy.num_replicas_in_sync > 1:
        return Replicas(attack, network, strategy)
    return Threads(attack, network)


def _in_threads(function, shares):
    """Returns a function of each share; a single one needs no thread."""
    if len(shares) < 2:
        return [function(share) for share in shares]
    with concurrent.futures.ThreadPoolExecutor(len(shares)) as threads:
        return list(threads.map(function, shares))

"""Pieces of an attack on several batches at once: on replicas or threads."""

import concurrent.futures
import os

import numpy as np
import tensorflow as tf

from keras_sat import distribution
from keras_sat.attacks.pieces import pieces_of
from keras_sat.distribution import xla

# More batches at once need more memory than they save time.
MOST_THREADS = 4


def batches_at_once():
    """Returns how many batches are attacked at once under this strategy.

    That is one for each replica; without a strategy, one on an accelerator,
    else one for each processor core, but no more than four.
    """
    if tf.distribute.has_strategy():
        return tf.distribute.get_strategy().num_replicas_in_sync
    if distribution.has_accelerator():
        return 1
    return min(os.cpu_count() or 1, MOST_THREADS)


class Threads:
    """An attack in pieces, on a batch in each of some threads.

    Most operations on small images are too small to be shared between the cores
    of a processor.

    Args:
        attack: `Attack`.
        network: `CompiledNetwork`.
    """

    def __init__(self, attack, network):
        self._pieces = pieces_of(attack, network)
        # With XLA, each size would be compiled.
        self.fixed_size = network.uses_xla

    def begin(self, shares, seed):
        """Returns the states before the first step.

        Args:
            shares: list of tuples of images, labels and rows; see
                `Pieces.begin`. At most as many as `batches_at_once` says.
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
        others = [tf.constant(other) for other in others]
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

    def _collected(self, results, count):
        """Returns the results of the shares, also of those on other workers."""
        gathered = tf.nest.map_structure(
            lambda value: np.split(
                np.asarray(self._strategy.gather(value, axis=0)),
                self._strategy.num_replicas_in_sync,
            ),
            results,
        )
        flat = tf.nest.flatten_up_to(results, gathered)
        return [
            tf.nest.pack_sequence_as(results, [part[i] for part in flat])
            for i in range(count)
        ]


def in_parallel(attack, network, strategy):
    """Returns the `Threads` or `Replicas` that fit a strategy.

    Args:
        attack, network, strategy: see `Replicas`.
    """
    if strategy.num_replicas_in_sync > 1:
        return Replicas(attack, network, strategy)
    return Threads(attack, network)


def _in_threads(function, shares):
    """Returns a function of each share; a single one needs no thread."""
    if len(shares) < 2:
        return [function(share) for share in shares]
    with concurrent.futures.ThreadPoolExecutor(len(shares)) as threads:
        return list(threads.map(function, shares))

"""An attack on several batches at once: one on each replica or core."""

import concurrent.futures
import functools
import os

import numpy as np
import tensorflow as tf

from keras_sat import distribution
from keras_sat.attacks.compiled import compiled
from keras_sat.attacks.compiled import on_survivors
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


class ParallelAttack:
    """An attack that is given several batches at a time.

    Each replica attacks a whole batch, with its own seed, so that what is found
    does not depend on how many replicas there are. Without a strategy and
    without an accelerator, a thread for each of up to four processor cores does
    the same: most operations are too small to be shared between cores.

    Make it in the scope of the strategy that it is called in.

    Args:
        attack: `Attack`.
        model: as in `Attack.__call__`.
        jit_compile: bool or `"auto"`. Whether each replica uses XLA.
    """

    def __init__(self, attack, model, jit_compile):
        self._strategy = tf.distribute.get_strategy()
        self._attack, self._model = attack, model
        self._jit_compile = jit_compile
        self._use_xla = xla.wanted(jit_compile, model)
        self._run = compiled(attack, model, jit_compile)
        self._functions = {}

    def __call__(self, jobs):
        """Attacks the survivors of some batches.

        Args:
            jobs: list, at most as long as `batches_at_once` says, of tuples
                `images`, `labels`, `seed` and `alive`; see
                `attacks.on_survivors`.

        Returns:
            List of tensors or arrays like the images.
        """
        if self._strategy.num_replicas_in_sync == 1:
            return self._on_threads(jobs)
        return self._on_replicas(jobs)

    def _on_threads(self, jobs):
        """Attacks each batch in a thread of its own, a single one in this."""
        if len(jobs) < 2:
            return [on_survivors(self._run, *job) for job in jobs]
        with concurrent.futures.ThreadPoolExecutor(len(jobs)) as threads:
            return list(
                threads.map(lambda job: on_survivors(self._run, *job), jobs)
            )

    def _on_replicas(self, jobs):
        """Attacks each batch on a replica of its own."""
        survivors = [np.flatnonzero(alive) for *_, alive in jobs]
        most = max(map(len, survivors), default=0)
        if not most:
            return [images for images, *_ in jobs]
        # All replicas have to get one shape; powers of two keep the number of
        # shapes, each of which is compiled, small.
        size = 2 ** (most - 1).bit_length()
        shares = [
            _padded(job, indices, size)
            for job, indices in zip(jobs, survivors, strict=True)
        ]
        found = self._compiled(size, self._dealt(shares))
        found = np.asarray(self._strategy.gather(found, axis=0))
        return [
            _put_back(images, indices, found[i * size :])
            for i, ((images, *_), indices) in enumerate(
                zip(jobs, survivors, strict=True)
            )
        ]

    def _compiled(self, size, arguments):
        """Runs the compiled attack, without XLA if that cannot compile it."""
        if size not in self._functions:
            self._functions[size] = tf.function(
                self._replicated, autograph=False
            )
        try:
            return self._functions[size](*arguments)
        except tf.errors.OpError as error:
            obstacle = xla.obstacle_in(error, self._model)
            if not self._use_xla or obstacle is None:
                raise
            xla.give_up(self._jit_compile, self._model, obstacle)
        self._use_xla = False
        self._functions.clear()
        return self._compiled(size, arguments)

    def _dealt(self, shares):
        """Returns images, labels and seeds, each with a value per replica."""

        def value(context, part):
            # With fewer batches than replicas, the last one is attacked by
            # several; only the first result for it is used.
            i = min(context.replica_id_in_sync_group, len(shares) - 1)
            return tf.constant(shares[i][part])

        deal = self._strategy.experimental_distribute_values_from_function
        return [deal(lambda c, part=part: value(c, part)) for part in range(3)]

    def _replicated(self, images, labels, seeds):
        """Attacks, in the graph, what each replica was dealt."""

        def attack(*arguments):
            function = functools.partial(self._attack, self._model)
            if self._use_xla:
                # XLA has to be inside the replica: around `strategy.run` it
                # meets variables of other devices and fails. The function is
                # made here because one that all replicas share would hold the
                # variables of the replica that traced it.
                function = xla.Function(
                    function, self._jit_compile, self._model
                )
            return function(*arguments)

        return self._strategy.run(attack, (images, labels, seeds))


def _padded(job, indices, size):
    """Returns `size` images with labels, the survivors repeated, and a seed."""
    images, labels, seed, _ = job
    # Every replica has to attack something. For a batch without survivors that
    # is its first image, of which the result is not used.
    padded = np.resize(indices if len(indices) else [0], size)
    return images[padded], labels[padded], np.array(seed)


def _put_back(images, indices, found):
    """Returns images in which those at `indices` are the ones found."""
    adversarial = np.array(images)
    adversarial[indices] = found[: len(indices)]
    return adversarial

"""Attacks on several batches at once: one on each replica or processor core."""

import concurrent.futures
import functools
import os

import numpy as np
import tensorflow as tf

from keras_sat import distribution
from keras_sat.attacks.compiled import compiled
from keras_sat.attacks.compiled import on_survivors
from keras_sat.distribution import xla

# More batches at a time would need more memory than time they save.
MOST_THREADS = 4


class Replicas:
    """An attack that is given several batches at a time.

    Each replica attacks a whole batch, with its own seed, so that what is found
    does not depend on how many replicas there are. Without a strategy and
    without accelerator, a thread for each of up to four processor cores does
    it: most operations are too small to be shared between cores.

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

    @staticmethod
    def count():
        """How many batches to give at a time, under the current strategy."""
        if tf.distribute.has_strategy():
            return tf.distribute.get_strategy().num_replicas_in_sync
        if distribution.has_accelerator():
            return 1
        return min(os.cpu_count() or 1, MOST_THREADS)

    def __call__(self, jobs):
        """Attacks the survivors of some batches.

        Args:
            jobs: list, at most as long as `count` says, of `images`, `labels`,
                `seed` and `alive`; see `attacks.on_survivors`.

        Returns:
            List of tensors like the images.
        """
        if self._strategy.num_replicas_in_sync == 1:
            return self._on_threads(jobs)
        chosen = [np.flatnonzero(alive) for *_, alive in jobs]
        largest = max(map(len, chosen), default=0)
        if not largest:
            return [images for images, *_ in jobs]
        # All replicas get one shape, out of few.
        size = 2 ** (largest - 1).bit_length()
        inputs = []
        for (images, labels, seed, _), indices in zip(
            jobs, chosen, strict=True
        ):
            # A batch with no survivor is attacked in vain.
            padded = np.resize(indices if len(indices) else [0], size)
            inputs.append((images[padded], labels[padded], np.array(seed)))
        found = self._traced(size, self._dealt(inputs))
        found = np.asarray(self._strategy.gather(found, axis=0))
        results = []
        for i, (images, *_) in enumerate(jobs):
            adversarial = np.array(images)
            count = len(chosen[i])
            adversarial[chosen[i]] = found[i * size : i * size + count]
            results.append(adversarial)
        return results

    def _on_threads(self, jobs):
        """A thread for each batch; a single one is not sent elsewhere."""
        if len(jobs) < 2:
            return [on_survivors(self._run, *job) for job in jobs]
        with concurrent.futures.ThreadPoolExecutor(len(jobs)) as threads:
            return list(
                threads.map(lambda job: on_survivors(self._run, *job), jobs)
            )

    def _traced(self, size, arguments):
        """Attacks on the replicas, without XLA if that cannot compile it."""
        if size not in self._functions:
            self._functions[size] = tf.function(
                self._on_replicas, autograph=False
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
        return self._traced(size, arguments)

    def _dealt(self, inputs):
        """Per-replica images, labels and seeds; some repeat the last batch."""

        def value(context, part):
            i = min(context.replica_id_in_sync_group, len(inputs) - 1)
            return tf.constant(inputs[i][part])

        deal = self._strategy.experimental_distribute_values_from_function
        return [deal(lambda c, part=part: value(c, part)) for part in range(3)]

    def _on_replicas(self, images, labels, seeds):
        def attack(*arguments):
            function = functools.partial(self._attack, self._model)
            if self._use_xla:
                # XLA inside the replica, and traced there: a function that is
                # shared, or goes around them, finds variables elsewhere.
                function = xla.Function(
                    function, self._jit_compile, self._model
                )
            return function(*arguments)

        return self._strategy.run(attack, (images, labels, seeds))

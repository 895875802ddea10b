"""Attacks that are run some steps at a time, on a network compiled once."""

import tensorflow as tf

from keras_sat.attacks.stepwise import InOneStep
from keras_sat.attacks.stepwise import StepwiseAttack
from keras_sat.attacks.stepwise import advance
from keras_sat.distribution import xla


class Pieces:
    """An attack on a network, run in pieces of some steps.

    The graph of the attack is made around the compiled functions of the
    network, which all attacks on it share. What a number of pieces leads to
    does not depend on how many steps each of them has.

    Args:
        attack: `Attack`. One that is not stepwise makes a single step.
        network: `CompiledNetwork`.
    """

    def __init__(self, attack, network):
        stepwise = isinstance(attack, StepwiseAttack)
        self.attack = attack if stepwise else InOneStep(attack)
        self.network = network
        self._functions = {}

    def begin(self, images, labels, rows, seed):
        """Returns the state before the first step.

        Args:
            images: float32 tensor `(batch, ...)` in `value_range`.
            labels: int32 tensor `(batch,)`.
            rows: int32 tensor `(batch,)`; see `StepwiseAttack.begin`.
            seed: int32 tensor `(2,)`.

        Returns:
            A nest of tensors with the batch in front, which may be split,
            joined and saved.
        """

        def begin(batch, seed):
            return self.attack.begin(self.network, *batch, seed)

        return self._run(begin, (images, labels, rows), seed)

    def advance(self, state, seed, steps):
        """Returns the state some steps later.

        Args:
            state: as `begin` or this function returned it.
            seed: int32 tensor `(2,)`. The one that `begin` was given.
            steps: int >= 1. No more are made once all images are done.
        """

        def move(state, seed, steps):
            return advance(self.attack, self.network, state, seed, steps)

        return self._run(move, state, seed, tf.constant(steps))

    def _run(self, function, batch, *others):
        """Runs a function in a graph, without XLA if it cannot be compiled."""
        name = function.__name__
        if name not in self._functions:
            self._functions[name] = tf.function(function, autograph=False)
        arguments = tf.nest.map_structure(
            tf.convert_to_tensor, (batch, *others)
        )
        try:
            return self._graph(name, *arguments)(*arguments)
        except tf.errors.OpError as error:
            obstacle = xla.obstacle_in(error, self.network.model())
            if not self.network.uses_xla or obstacle is None:
                raise
        self.network.without_xla(obstacle)
        self._functions.clear()
        return self._run(function, batch, *others)

    def _graph(self, name, batch, *others):
        """Returns the graph for batches of any size; with XLA, of this one."""
        function = self._functions[name]
        if self.network.uses_xla:
            return function
        batch, others = (
            tf.nest.map_structure(specify, part)
            for specify, part in (
                (_of_any_size, batch),
                (_of_this_size, others),
            )
        )
        return function.get_concrete_function(batch, *others)


def _of_any_size(tensor):
    return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)


def _of_this_size(tensor):
    return tf.TensorSpec(tensor.shape, tensor.dtype)

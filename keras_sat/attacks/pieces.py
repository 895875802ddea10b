"""Attacks that are run some steps at a time, on a network compiled once."""

import tensorflow as tf

from keras_sat.attacks.stepwise import advance
from keras_sat.attacks.stepwise import in_steps
from keras_sat.distribution import xla


class Pieces:
    """An attack on a network, run in pieces of some steps.

    The graph of the attack is made around the compiled functions of the
    network, which all attacks on it share. What a number of pieces leads to
    does not depend on how many steps each of them has.

    Args:
        attack: `Attack`, or a form of one that `in_steps` knows. One that is
            not stepwise makes a single step.
        network: `CompiledNetwork`.
    """

    def __init__(self, attack, network):
        self.attack = in_steps(attack)
        self.network = network
        self._graphs = {}

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
        return self._run(self.first_state, (images, labels, rows), seed)

    def advance(self, state, seed, steps):
        """Returns the state some steps later.

        Args:
            state: as `begin` or this function returned it.
            seed: int32 tensor `(2,)`. The one that `begin` was given.
            steps: int >= 1. No more are made once all images are done.
        """
        return self._run(self.next_state, state, seed, steps)

    def first_state(self, batch, seed):
        """Returns what `begin` does, for callers that make graphs of it.

        Args:
            batch: tuple of images, labels and rows.
            seed: see `begin`.
        """
        return self.attack.begin(self.network, *batch, seed)

    def next_state(self, state, seed, steps):
        """Returns what `advance` does, for callers that make graphs of it."""
        return advance(self.attack, self.network, state, seed, steps)

    def _run(self, function, batch, *others):
        """Runs a method in a graph, without XLA if it cannot be compiled."""
        arguments = tf.nest.map_structure(
            tf.convert_to_tensor, (batch, *others)
        )
        uses_xla = self.network.uses_xla
        try:
            with self.network.tracing:
                graph = self._graph(function, uses_xla, *arguments)
            return graph(*arguments)
        except tf.errors.OpError as error:
            obstacle = xla.obstacle_in(error, self.network.model())
            if not uses_xla or obstacle is None:
                raise
        self.network.without_xla(obstacle)
        return self._run(function, batch, *others)

    def _graph(self, function, uses_xla, batch, *others):
        """Returns a graph for batches of any size; with XLA, of this one."""
        key = function.__name__, uses_xla
        if key not in self._graphs:
            self._graphs[key] = tf.function(function, autograph=False)
        spec = tf.TensorSpec.from_tensor if uses_xla else _of_any_size
        specs = tf.nest.map_structure(spec, batch)
        others = tf.nest.map_structure(tf.TensorSpec.from_tensor, others)
        return self._graphs[key].get_concrete_function(specs, *others)


def pieces_of(attack, network):
    """Returns the `Pieces` of an attack on a network, the same at each call.

    Args:
        attack, network: see `Pieces`.
    """
    if "__eq__" not in vars(type(attack)):
        # A class that is no dataclass of its own inherits an equality that
        # knows nothing of what it adds.
        return Pieces(attack, network)
    # A lenient attack is equal to the strict one, but does not do the same.
    key = attack, attack.is_lenient
    if key not in network.pieces:
        network.pieces[key] = Pieces(attack, network)
    return network.pieces[key]


def _of_any_size(tensor):
    return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)

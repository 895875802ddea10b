"""A stepwise attack whose numbers are inputs of its graph."""

import dataclasses

from keras_sat.attacks.stepwise import StepwiseAttack


@dataclasses.dataclass(frozen=True)
class Scalable:
    """A stepwise attack in many sizes, for which there is one graph.

    In the place of a seed, its methods take a pair of the seed and a dict with
    the factors of `Attack.scaled`, as tensors.

    Args:
        attack: `StepwiseAttack`. What the factors are multiplied with.
    """

    attack: StepwiseAttack

    @property
    def is_lenient(self):
        """See `Attack`."""
        return self.attack.is_lenient

    def begin(self, network, images, labels, rows, seed):
        """See `StepwiseAttack.begin`."""
        seed, factors = seed
        attack = self.attack.scaled(**factors)
        return attack.begin(network, images, labels, rows, seed)

    def shared(self, images, seed):
        """See `StepwiseAttack.shared`."""
        seed, factors = seed
        return self.attack.scaled(**factors).shared(images, seed), factors

    def step(self, network, state, shared):
        """See `StepwiseAttack.step`."""
        shared, factors = shared
        return self.attack.scaled(**factors).step(network, state, shared)

"""The loss of a training step, and its gradients wherever the weights stand."""

import contextlib
import copy
from typing import NamedTuple

import keras
import tensorflow as tf

from keras_sat.training import replica_updates
from keras_sat.weights import decay


class Gradients(NamedTuple):
    """The parts of a training step.

    Args:
        loss: float tensor `()`, not scaled.
        logits: float tensor `(batch, num_classes)` of the adversarial images.
        weights: list of tensors, the gradients of the scaled loss of this
            replica in `trainable_variables`.
        adversarial: tensor like the images, its gradient in them; 0 where it
            overflows.
    """

    loss: tf.Tensor
    logits: tf.Tensor
    weights: list
    adversarial: tf.Tensor


class Descent:
    """The training loss of a batch, as a function of the weights.

    `at` takes it to other weights: layers compute with them, and the variables
    keep the values that they have.

    Args:
        model: `SATModel`. Its objective gives the loss.
        images, adversarial, labels, weights: see `Objective.__call__`.
    """

    def __init__(self, model, images, adversarial, labels, weights):
        self.model = model
        self._batch = images, adversarial, labels, weights
        # From the `id` of a variable to the variable and its other value.
        self._moved = {}

    def at(self, moved):
        """Returns the same loss, at other weights.

        Args:
            moved: list of pairs of a trainable `keras.Variable` and a tensor
                like it. All others stay where they are.
        """
        there = copy.copy(self)
        there._moved = self._moved | {id(pair[0]): pair for pair in moved}
        return there

    def value(self, variable):
        """Returns the value with which layers compute.

        Args:
            variable: `keras.Variable`.
        """
        return self._moved.get(id(variable), (variable, variable.value))[1]

    def direction(self, variables):
        """Returns the gradient of the loss in some weights, of all replicas.

        It has an unknown factor where the loss is scaled, and is 0 where that
        overflows. It is without the weight decay of `SATModel.compile`. No
        variable changes, neither statistics nor seeds.

        Args:
            variables: list of trainable `keras.Variable`s.

        Returns:
            List of tensors like `variables`.
        """
        points = [self.value(variable) for variable in variables]
        there = self.at(list(zip(variables, points, strict=True)))
        with (
            there._scope(),
            tf.GradientTape(watch_accessed_variables=False) as tape,
        ):
            tape.watch(points)
            loss, _ = self.model.objective(self.model, *self._batch)
            scaled = self.model.optimizer.scale_loss(loss)
        gradients = tape.gradient(
            scaled, points, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        if self.model.replicas > 1:
            gradients = replica_updates.all_reduce("SUM", gradients)
        return [_finite(gradient) for gradient in gradients]

    def gradients(self):
        """Returns loss, logits and the gradients of a step, as `Gradients`.

        Statistics and seeds change as they do in any call in training mode.
        """
        model, adversarial = self.model, self._batch[1]
        weights = [
            self._moved.get(id(v), (v, v))[1] for v in model.trainable_variables
        ]
        with self._scope() as scope:
            with tf.GradientTape() as tape:
                tape.watch([adversarial, *(v for _, v in self._moved.values())])
                loss, logits = model.objective(model, *self._batch)
                penalty = decay.loss(model, model.weight_decay, model.replicas)
                loss += tf.cast(penalty, loss.dtype)
                scaled = model.optimizer.scale_loss(loss)
            *gradients, ascent = tape.gradient(scaled, [*weights, adversarial])
        self._assign_changes(scope)
        ascent = 0 * adversarial if ascent is None else _finite(ascent)
        return Gradients(loss, logits, gradients, ascent)

    def _scope(self):
        """Returns the context in which layers compute with the moved weights.

        It gives `None` if no weight has moved: variables then are what they are
        outside of it.
        """
        if not self._moved:
            return contextlib.nullcontext()
        return keras.StatelessScope(
            list(self._moved.values()),
            collect_losses=True,
            initialize_variables=False,
        )

    def _assign_changes(self, scope):
        """Assigns to variables what they would have become without the scope.

        Args:
            scope: `keras.StatelessScope`, or `None`.
        """
        if scope is None:
            return
        for variable in self.model.variables:
            value = scope.get_current_value(variable)
            if value is not None and id(variable) not in self._moved:
                variable.assign(value)


def _finite(gradient):
    """Returns a gradient with 0 in place of what is no finite number."""
    return tf.where(tf.math.is_finite(gradient), gradient, 0)

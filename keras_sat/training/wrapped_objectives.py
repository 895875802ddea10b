"""Objectives that change one thing of another objective."""

import dataclasses

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks import losses
from keras_sat.predictions.inference import inference
from keras_sat.predictions.inference import input_gradient
from keras_sat.training.objectives import AdversarialTraining
from keras_sat.training.objectives import Objective
from keras_sat.training.objectives import mean_loss
from keras_sat.weights import decay


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wrapper(Objective):
    """Base class of objectives that do what another does, but for one thing.

    Args:
        objective: `Objective`. Defaults to `AdversarialTraining()`.
    """

    objective: Objective = AdversarialTraining()

    def __post_init__(self):
        if not isinstance(self.objective, Objective):
            checks.refuse(
                "objective", "be an Objective", self.objective, error=TypeError
            )

    @property
    def replays(self):
        """See `Objective`."""
        return self.objective.replays

    @property
    def exchanges(self):
        """See `Objective`."""
        return self.objective.exchanges

    def targets(self, predict, images, labels):
        """See `Objective.targets`."""
        return self.objective.targets(predict, images, labels)

    def __call__(self, model, images, adversarial, labels, weights):
        """See `Objective.__call__`."""
        return self.objective(model, images, adversarial, labels, weights)

    def descend(self, descent):
        """See `Objective.descend`."""
        return self.objective.descend(descent)

    def again(self, attack, images, adversarial, gradient):
        """See `Objective.again`."""
        return self.objective.again(attack, images, adversarial, gradient)


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class AWP(Wrapper):
    """Adversarial weight perturbation: a gradient at the worst weights nearby.

    Before the gradient of an update is taken, each kernel `w` moves to
    `w + gamma * |w| * g / |g|`, where `g` is the gradient of the loss in it and
    `|.|` the Euclidean norm: up the loss, by a share of its size. The update is
    then made on the kernels as they were. Biases, batch normalization and
    learnable activations do not move, as in the code of the authors.

    It takes one more pass forward and back for each update. Moving statistics
    are those of the second one. On several replicas, `g` is the gradient of the
    whole batch; as they exchange it within the step, XLA compiles the attack
    alone. `gamma=0` is the plain objective.

    Args:
        objective: `Objective` whose loss it is. Defaults to
            `AdversarialTraining()`.
        gamma: float >= 0. Length of the move, as a share of the norm of a
            kernel. The code of the authors has 0.01 for adversarial training
            and 0.005 for TRADES. Defaults to `0.005`.

    Example:

    ```python
    objective = keras_sat.AWP(objective=keras_sat.TRADES(), gamma=0.005)
    model = keras_sat.SATModel(network, objective=objective)
    ```

    Reference:
    - [Wu et al., 2020](https://arxiv.org/abs/2004.05884)
    - [The authors' code](https://github.com/csdongxian/AWP)
    """

    gamma: float = 0.005
    exchanges = True

    def __post_init__(self):
        super().__post_init__()
        checks.real("gamma", self.gamma, least=0)

    def descend(self, descent):
        """See `Objective.descend`."""
        kernels = decay.kernels(descent.model)
        moved = []
        for kernel, g in zip(kernels, descent.direction(kernels), strict=True):
            value = descent.value(kernel)
            size = tf.norm(tf.cast(value, tf.float32))
            step = self.gamma * size * _normalized(tf.cast(g, tf.float32))
            moved.append((kernel, value + tf.cast(step, value.dtype)))
        return self.objective.descend(descent.at(moved))


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class GradAlign(Wrapper):
    """Another objective, plus a penalty for gradients that turn in the ball.

    The penalty of an image `x` is `1 - cos(g(x), g(x + eta))`, where `g` is the
    gradient in the image of the cross-entropy, and `eta` a random point of the
    ball of the attack. A network for which it is small is nearly linear in the
    ball, so that attacks of one step remain strong: it keeps training with
    `FGSM` from catastrophic overfitting.

    The two gradients are taken with the statistics of the batch, as in the code
    of the authors, with everything else in inference mode, and change no
    variable. An image with a gradient of zero has no penalty. `eta` has the
    full radius from the start, also where the attack grows. It takes two
    gradients more for each update, which are differentiated themselves:
    activations need second derivatives. `coefficient=0` is the plain objective.

    Args:
        objective: `Objective` that is penalised. Defaults to
            `AdversarialTraining()`.
        coefficient: float >= 0. Weight of the penalty. The authors have 0.2
            for CIFAR-10 with a radius of 8 / 255, and 2.0 with 16 / 255.
            Defaults to `0.2`.

    Example:

    ```python
    model = keras_sat.SATModel(
        network,
        attack=keras_sat.FGSM(epsilon=8 / 255),
        objective=keras_sat.GradAlign(coefficient=0.2),
    )
    ```

    Reference:
    - [Andriushchenko and Flammarion, 2020](https://arxiv.org/abs/2007.02617)
    - [The authors' code](https://github.com/tml-epfl/understanding-fast-adv-training)
    """

    coefficient: float = 0.2

    def __post_init__(self):
        super().__post_init__()
        checks.real("coefficient", self.coefficient, least=0)

    def __call__(self, model, images, adversarial, labels, weights):
        """See `Objective.__call__`."""
        predict = inference(model.model, "batch")
        attack = model.attack
        noise = attack.ball.random(
            images, attack.epsilon * attack.width, model.noise_seed()
        )

        def loss(x):
            return losses.cross_entropy(labels, predict(x))

        _, here = input_gradient(loss, images)
        _, nearby = input_gradient(loss, images + noise)
        penalty = mean_loss(_misalignment(here, nearby), weights)
        # Last, as what layers add to the loss is that of the last call.
        loss, logits = self.objective(
            model, images, adversarial, labels, weights
        )
        return loss + self.coefficient * penalty, logits


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class FreeTraining(Wrapper):
    """Free adversarial training: the gradient of an update is also an attack.

    A batch is used for several updates in a row. The backward pass of each one
    gives the gradient in the images, too, and with it the adversarial images of
    the next one: `x' + step_size * sign(g)` (for L2, `g / |g|`), projected onto
    the ball of the attack and the range. So the attack of all updates but the
    first costs nothing.

    The images of the first update are those of the attack of the model. In the
    code of the authors, they are the images moved by the perturbation of the
    batch before, of other images; a cheap attack, like the default one or
    `FGSMRS`, comes closest to that. `replays=1` is the plain objective.

    Each update counts as a step of schedules and of `optimizer.iterations`: to
    see as many images as otherwise, train for `1 / replays` of the epochs.
    Metrics are those of the last update of each batch.

    Args:
        objective: `Objective` that the updates lower, one that uses each batch
            once. Defaults to `AdversarialTraining()`.
        replays: int >= 1. How many updates are made with each batch. The
            authors have 8 for CIFAR-10 and 4 for ImageNet. Defaults to `8`.
        step_size: float > 0. Length of a step of the images, in units of the
            radius `epsilon` of the attack. Defaults to `1.0`, as in the paper.

    Example:

    ```python
    model = keras_sat.SATModel(
        network, objective=keras_sat.FreeTraining(replays=8)
    )
    model.fit(train_ds, epochs=100 // 8)
    ```

    Reference:
    - [Shafahi et al., 2019](https://arxiv.org/abs/1904.12843)
    - [The authors' code](https://github.com/ashafahi/free_adv_train)
    """

    replays: int = 8
    step_size: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        checks.integer("replays", self.replays)
        checks.real("step_size", self.step_size, above=0)
        if self.objective.replays != 1:
            checks.refuse(
                "objective",
                "use each batch once, to be used `replays` times",
                self.objective,
            )

    def again(self, attack, images, adversarial, gradient):
        """See `Objective.again`."""
        step = self.step_size * attack.epsilon * attack.width
        moved = adversarial + step * attack.ball.steepest_ascent(gradient)
        return attack.project(moved, images)


def _misalignment(one, two):
    """Returns 1 minus the cosine between two gradients of each image.

    Args:
        one, two: float tensors `(batch, ...)`. Where one of them is 0, so is
            the result.
    """
    one, two = (
        _normalized(tf.reshape(g, (tf.shape(g)[0], -1)), -1) for g in (one, two)
    )
    cosine = tf.reduce_sum(one * two, -1)
    is_zero = tf.reduce_all(one == 0, -1) | tf.reduce_all(two == 0, -1)
    return tf.where(is_zero, 0.0, 1 - cosine)


def _normalized(gradient, axis=None):
    """Returns a gradient divided by its Euclidean norm; 0 stays 0.

    Args:
        gradient: float32 tensor.
        axis: int, or `None`. What the norm is taken over. Defaults to all axes.
    """
    # The square of a tiny gradient would be 0 in float32.
    largest = tf.reduce_max(tf.abs(gradient), axis, keepdims=True)
    gradient = tf.math.divide_no_nan(gradient, tf.stop_gradient(largest))
    squares = tf.reduce_sum(tf.square(gradient), axis, keepdims=True)
    # The derivative of a root at 0 is infinite.
    return gradient / tf.sqrt(tf.where(squares > 0, squares, 1.0))

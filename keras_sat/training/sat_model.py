"""`SATModel`: a classifier that `fit` trains on adversarial images."""

import contextlib

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat.activations.fusion import batches_of_few_sizes
from keras_sat.attacks.seeds import fold_in
from keras_sat.optimizers import batches_seen
from keras_sat.predictions.batch_statistics import STATISTICS
from keras_sat.predictions.inference import inference
from keras_sat.predictions.labels import canonical
from keras_sat.predictions.labels import is_right
from keras_sat.preprocessing.value_range import to_float
from keras_sat.training import attack_choice
from keras_sat.training import callback_checks
from keras_sat.training.checked_data import CheckedData
from keras_sat.training.compiling import Compiling
from keras_sat.training.descent import Descent
from keras_sat.training.fingerprint import described
from keras_sat.training.network_attributes import NetworkAttributes
from keras_sat.training.objectives import AdversarialTraining
from keras_sat.training.objectives import check_objective
from keras_sat.training.replica_batches import never_empty
from keras_sat.training.replicated_model import ReplicatedModel
from keras_sat.training.replicated_model import after_reading
from keras_sat.training.saving import Saving
from keras_sat.training.scope_checks import check_scope
from keras_sat.training.stale_statistics import Staleness
from keras_sat.weights import averaging
from keras_sat.weights.sharing import share_weights

# Of the seeds for noise in the loss. Attacks fold other numbers into theirs.
NOISE = 1000


@keras.saving.register_keras_serializable("keras_sat")
class SATModel(
    NetworkAttributes, Compiling, CheckedData, Saving, ReplicatedModel
):
    """A classifier with adversarial training inside `fit`.

    `fit` solves `min over weights of max over |delta| <= epsilon of
    loss(model(images + delta), labels)`: each step attacks its batch and
    updates the weights on the result, compiled as one function. Called on
    images, or through `predict`, it is the plain classifier. `input_shape`,
    `output_shape`, `inputs` and `outputs` are those of the network.

    It compiles itself with the recipe of the paper: SGD with Nesterov momentum
    0.9 at a constant rate of 0.1, a penalty of `1e-4 / 2` times the squared
    kernels, label smoothing 0.1 in the training loss and none in the attack.
    `compile` overrides any part.

    `fit` logs `loss` and `robust_accuracy` (against `attack`). `evaluate`
    returns `loss`, `robust_accuracy` (both against `eval_attack`) and
    `clean_accuracy`; during `fit` they are logged with the prefix `val_`.

    With an optimizer that has `use_ema=True`, all weights are averaged, those
    of batch normalization included. Validation, predictions and what is saved
    or exported during `fit` then use the averages, as does `get_weights` in
    `on_epoch_end`; `model.model` holds the weights that are trained. At the end
    of `fit` the averages become the weights, unless a callback restores others.

    Args:
        model: `keras.Model` from images in `value_range` to logits
            `(batch, num_classes)`. Normalization is a part of it.
        attack: `Attack` to train against. Defaults to `PGD` with one step of
            `4 / 255` in a ball of `4 / 255`, from a random start.
        eval_attack: `Attack` to evaluate against. Defaults to `PGD` with 10
            steps of `1 / 255` in a ball of `4 / 255`.
        objective: `Objective`. Defaults to `AdversarialTraining()`.
        attack_model: `keras.Model` that the training attack differentiates
            instead of `model`: the same network with smoother gradients, say.
            It needs the weights of `model`, in number, shape and order, and is
            made to use those of `model` from now on. Defaults to `model`.
        value_range: pair of floats. The values of black and white in the
            images that `model` takes; it replaces that of the attacks. uint8
            images are scaled to it. Defaults to the one of `attack`.
        attack_statistics: str. Which statistics batch normalization uses while
            the training attack differentiates the network: `"moving"`, as in
            the paper's code, or `"batch"`, for the mean and variance of the
            images on the same replica, without an update. `evaluate` always
            uses the moving statistics. Defaults to `"moving"`.
        **kwargs: see `keras.Model`, such as `name`.

    Raises:
        TypeError: If an argument is of a kind that cannot be used.
        ValueError: If `model` is no classifier that returns logits, or an
            argument does not fit it.

    Example:

    ```python
    model = keras_sat.SATModel(keras_sat.resnet(50, activation="silu"))
    model.fit(train_ds, epochs=100, validation_data=test_ds)
    model.evaluate(test_ds, return_dict=True)
    model.export("classifier")
    ```

    Reference:
    - [Xie et al., 2020](https://arxiv.org/abs/2006.14536)
    """

    def __init__(
        self,
        model,
        attack=attack_choice.TRAINING_ATTACK,
        eval_attack=attack_choice.EVALUATION_ATTACK,
        objective=None,
        attack_model=None,
        value_range=None,
        attack_statistics="moving",
        **kwargs,
    ):
        checks.lookup("attack_statistics", attack_statistics, STATISTICS)
        shapes = checks.classifier("model", model)
        attack_choice.check_training_attack("attack", attack)
        attack_choice.check_evaluation_attack("eval_attack", eval_attack)
        check_objective("objective", objective)
        if value_range is None:
            value_range = attack.value_range
        checks.value_range(value_range)
        checks.fits_value_range(model, value_range)
        if attack_model is not None:
            checks.classifier("attack_model", attack_model)
            share_weights(attack_model, model)
        kwargs.setdefault("dtype", model.dtype_policy)
        # Perturbations are smaller than the spacing of bfloat16 numbers.
        super().__init__(autocast=False, **kwargs)
        self.model = model
        self.attack_model = attack_model
        self.image_shape, self.num_classes = shapes
        self.value_range = tuple(value_range)
        self.attack = attack.replace(value_range=self.value_range)
        self.eval_attack = eval_attack.replace(value_range=self.value_range)
        self.objective = objective or AdversarialTraining()
        self.attack_statistics = attack_statistics
        self._add_state()
        check_scope(self)
        self.compile()

    def _add_state(self):
        """Adds the seeds, the metrics and the objects that observe training."""
        self.seeds = keras.random.SeedGenerator()
        # Of its own, so that validation does not change the noise of training.
        self.eval_seeds = keras.random.SeedGenerator()
        self.clean_accuracy = keras.metrics.Mean(name="clean_accuracy")
        self.robust_accuracy = keras.metrics.Mean(name="robust_accuracy")
        self.staleness = Staleness(self.model, self.attack_statistics)
        self._averages = averaging.AveragesInFit()
        self._outputs_checked = False
        self._watches = []
        # The network has its weights: there is nothing left to be built, and
        # Keras saves no weights of what is not built.
        self.built = True

    def call(self, images, training=None):
        """Returns the logits `(batch, num_classes)` of `images`."""
        images = to_float(images, self.value_range)
        return self.model(images, training=training)

    @after_reading
    @batches_of_few_sizes()
    def train_step(self, data):
        """Attacks a batch and updates the weights on it; called by `fit`."""
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        labels = canonical(labels)
        seed = self.next_seed(self.seeds)
        first, again = self.forward_backward, self.descend
        # XLA compiles what a replica computes by itself. What replicas tell
        # each other in the middle of a step leaves it the attack alone.
        if not self._exchanges:
            first, again = self.with_xla(first), self.with_xla(again)
        scale, due = self._attack_scale(), self.staleness.is_due()
        results, counts = first(images, labels, weights, seed, scale, due)
        self.staleness.add(counts)
        for _ in range(1, self.objective.replays):
            *_, gradients, adversarial = results
            self.update(gradients)
            results = again(images, adversarial, labels, weights, scale)
        loss, logits, gradients, _ = results
        self.update(gradients)
        count = tf.shape(images)[0]
        logs = self._update_metrics(loss, count, labels, logits, weights)
        # Only `evaluate` classifies clean images.
        del logs["clean_accuracy"]
        return self.reducible(logs)

    def make_train_function(self, force=False):
        """Compiles the function that trains a batch; called by `fit`."""
        if force or self.train_function is None:
            super().make_train_function(force=True)
            self.train_function = self.staleness.watched(
                self.train_function, self.steps_per_execution
            )

    def forward_backward(
        self, images, labels, weights, seed, scale=None, due=None
    ):
        """Attacks images, and returns loss and gradients on the result.

        Args:
            images: float or uint8 tensor `(batch, height, width, channels)`.
            labels: int `(batch,)` or probabilities `(batch, num_classes)`.
            weights: float tensor `(batch,)`, or `None`.
            seed: int32 tensor `(2,)`.
            scale: factors of the size of the attack; see `Attack.__call__`.
            due: bool tensor `()`. Whether to measure the lag of the moving
                statistics; see `Staleness`. Defaults to never.

        Returns:
            What `descend` returns, and what `Staleness.measure` counted.
        """
        images = to_float(images, self.value_range)
        # Inner maximization, at fixed weights: in inference mode, in which
        # batch normalization updates nothing.
        attacked = inference(
            self.model if self.attack_model is None else self.attack_model,
            self.attack_statistics,
        )
        targets = self.objective.targets(attacked, images, labels)
        attack = self.with_xla(lambda *batch: self.attack(attacked, *batch))
        adversarial = attack(images, targets, seed, scale)
        counts = self.staleness.measure(due, adversarial, labels)
        return self.descend(images, adversarial, labels, weights, scale), counts

    def descend(self, images, adversarial, labels, weights, scale=None):
        """Returns loss and gradients on adversarial images.

        Args:
            images, labels, weights, scale: see `forward_backward`.
            adversarial: float tensor like `images`.

        Returns:
            Scalar loss, adversarial logits, the gradients of the scaled loss
            for `trainable_variables`, and the images on which an objective that
            uses a batch several times uses it again.
        """
        images = to_float(images, self.value_range)
        # Outer minimization, in training mode.
        loss, logits, gradients, ascent = self.objective.descend(
            Descent(self, images, adversarial, labels, weights)
        )
        attack = self.attack.scaled(**scale or {})
        adversarial = self.objective.again(attack, images, adversarial, ascent)
        return loss, logits, gradients, adversarial

    @after_reading
    @batches_of_few_sizes()
    def test_step(self, data):
        """Evaluates a batch, clean and attacked; called by `evaluate`."""
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        labels = canonical(labels)
        (images, labels, weights), count = never_empty(
            [images, labels, weights], self.replicas
        )
        seed = self.next_seed(self.eval_seeds)
        loss, logits, clean = self.with_xla(self._attacked)(
            images, labels, weights, seed
        )
        labels, logits, clean = labels[:count], logits[:count], clean[:count]
        weights = None if weights is None else weights[:count]
        self.clean_accuracy.update_state(is_right(labels, clean))
        count = tf.shape(labels)[0]
        return self.reducible(
            self._update_metrics(loss, count, labels, logits, weights)
        )

    def _attacked(self, images, labels, weights, seed):
        """Returns loss and logits of adversarial images, and clean logits."""
        images = to_float(images, self.value_range)
        adversarial = self.eval_attack(self.model, images, labels, seed)
        logits = self(adversarial, training=False)
        # Before the clean images are classified, while the losses of layers are
        # those of adversarial ones; and in here, because losses that were made
        # in a function that XLA compiles cannot be read outside of it.
        loss = self.compute_loss(
            adversarial, labels, logits, weights, training=False
        )
        return loss, logits, self(images, training=False)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        *,
        validation_data=None,
        **kwargs,
    ):
        """Trains like `keras.Model.fit`, on checked images and labels.

        Arrays are checked whole before the first step. Datasets are checked
        batch by batch, or only their first batch with
        `compile(check_every_batch=False)`.

        Args:
            x: `tf.data.Dataset`, `keras.utils.PyDataset` or generator of
                `(images, labels[, weights])` batches, or array of images:
                float in `value_range`, or uint8.
            y: array of labels, if `x` is one of images: int class ids
                `(batch,)`, or probabilities `(batch, num_classes)`.
            batch_size: int. For arrays. Defaults to 32.
            epochs: int. Passes over the images. Defaults to `1`.
            validation_data: like `x`, or a pair of arrays.
            **kwargs: see `keras.Model.fit`.

        Returns:
            `keras.callbacks.History`.

        Raises:
            TypeError: If images or labels are of a kind that cannot be used.
            ValueError: If their shapes or values are wrong, or there are none;
                if a callback monitors what is never logged, or cannot work with
                this optimizer.
        """
        steps = kwargs.get("steps_per_epoch"), kwargs.get("validation_steps")
        callbacks = callback_checks.listed(kwargs.pop("callbacks", None))
        with (
            self.checked(x, y, kwargs.get("sample_weight"), steps[0]) as x,
            self.checked_validation(validation_data, steps[1]) as held_out,
        ):
            validated = held_out is not None or kwargs.get("validation_split")
            callback_checks.check(self, callbacks, bool(validated))
            if y is None:
                # Keras warns of its own default, as only arrays are shuffled.
                kwargs.setdefault("shuffle", False)
            # BackupAndRestore leaves the epoch that it went on from.
            self._initial_epoch = None
            with self._averages.fitting():
                return super().fit(
                    x,
                    y,
                    batch_size,
                    epochs,
                    validation_data=held_out,
                    callbacks=[self._averages, *callbacks],
                    **kwargs,
                )

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        *args,
        attack=None,
        **kwargs,
    ):
        """Returns loss, clean and robust accuracy; see `keras.Model.evaluate`.

        Args:
            x, y, batch_size: see `fit`.
            verbose, sample_weight, steps, *args, **kwargs: see
                `keras.Model.evaluate`.
            attack: `Attack` to evaluate against. Defaults to `eval_attack`.
        """
        checked = self.checked(x, y, sample_weight, steps)
        if kwargs.get("_use_cached_eval_dataset"):
            # Keras sets this during `fit`, which has checked the data already.
            checked = contextlib.nullcontext(x)
        with (
            checked as x,
            self._other_attacks.lent(self, attack),
            self._averages.lent_in_fit(self),
        ):
            return super().evaluate(
                x, y, batch_size, verbose, sample_weight, steps, *args, **kwargs
            )

    def fingerprint(self):
        """See `ReplicatedModel.fingerprint`."""
        return super().fingerprint() | described(
            attack=repr(self.attack),
            attack_statistics=self.attack_statistics,
            objective=repr(self.objective),
            weight_decay=self.weight_decay,
        )

    def noise_seed(self):
        """Returns a seed for noise in the training loss.

        It differs between steps and replicas, and from those of attacks, and
        does not change theirs.

        Returns:
            int32 tensor `(2,)`.
        """
        return fold_in(self.seed_of_replica(self.seeds.state), NOISE)

    def step_state(self):
        """See `XLAFallback.step_state`."""
        seeds = self.seeds.state, self.eval_seeds.state
        return [*super().step_state(), *seeds]

    @property
    def _exchanges(self):
        """`True` if replicas tell each other something within a step."""
        return self.shares_statistics or (
            self.replicas > 1 and self.objective.exchanges
        )

    def _attack_scale(self):
        """Returns how large the attack is by now, or `None`."""
        if self.attack_schedule is None:
            return None
        return self.attack_schedule.scale(batches_seen(self.optimizer))

    def _update_metrics(self, loss, count, labels, logits, weights):
        """Updates all metrics but `clean_accuracy`, and returns the logs."""
        # Keras divides a loss by the number of replicas.
        self._loss_tracker.update_state(
            loss * self.replicas, sample_weight=count
        )
        self.robust_accuracy.update_state(is_right(labels, logits))
        return self.compute_metrics(None, labels, logits, weights)

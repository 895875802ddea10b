"""`SATModel`: a classifier that trains on the adversarial images it attacks."""

import contextlib

import keras
import tensorflow as tf

from keras_sat import averaging
from keras_sat import checks
from keras_sat import export
from keras_sat import monitors
from keras_sat import schedules
from keras_sat import seed_states
from keras_sat.attacks import PGD
from keras_sat.attacks.attack import fold_in
from keras_sat.attacks.attack import inference
from keras_sat.attacks.attack import to_float
from keras_sat.attacks.losses import class_ids
from keras_sat.checks import batches
from keras_sat.objectives import AdversarialTraining
from keras_sat.objectives import CrossEntropy
from keras_sat.replicated_model import ReplicatedModel
from keras_sat.replicated_model import after_reading
from keras_sat.replicated_model import check_scope
from keras_sat.sharing import share_weights

TRAINING_ATTACK = PGD(epsilon=4 / 255, step_size=4 / 255, steps=1)
EVALUATION_ATTACK = PGD(epsilon=4 / 255, step_size=1 / 255, steps=10)


@keras.saving.register_keras_serializable("keras_sat")
class SATModel(ReplicatedModel):
    """A classifier with adversarial training inside `fit`.

    `fit` solves `min over weights of max over |delta| <= epsilon of
    loss(model(images + delta), labels)`: each step attacks its batch and
    updates the weights on the result, compiled as one function. Called on
    images, or through `predict`, it is the plain classifier.

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
        value_range: pair of floats. What black and white are in the images
            that `model` takes; it replaces that of the attacks. uint8 images
            are scaled to it. Defaults to the one of the attacks.

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
        attack=TRAINING_ATTACK,
        eval_attack=EVALUATION_ATTACK,
        objective=None,
        attack_model=None,
        value_range=None,
        **kwargs,
    ):
        checks.classifier("model", model)
        if attack_model is not None:
            checks.classifier("attack_model", attack_model)
            share_weights(attack_model, model)
        kwargs.setdefault("dtype", model.dtype_policy)
        # Perturbations are smaller than the spacing of bfloat16 numbers.
        super().__init__(autocast=False, **kwargs)
        self.model = model
        self.attack_model = attack_model
        self.value_range = tuple(value_range or attack.value_range)
        self.attack = attack.replace(value_range=self.value_range)
        self.eval_attack = eval_attack.replace(value_range=self.value_range)
        self.objective = objective or AdversarialTraining()
        self.seeds = keras.random.SeedGenerator()
        self.eval_seeds = keras.random.SeedGenerator()
        self.clean_accuracy = keras.metrics.Mean(name="clean_accuracy")
        self.robust_accuracy = keras.metrics.Mean(name="robust_accuracy")
        self.built = True
        self._averages = averaging.HandOver()
        check_scope(self)
        self.compile()

    def call(self, images, training=None):
        """The logits `(batch, num_classes)` of `images`."""
        images = to_float(images, self.value_range)
        return self.model(images, training=training)

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        metrics=None,
        weight_decay="auto",
        attack_schedule=None,
        **kwargs,
    ):
        """Configures training.

        Args:
            optimizer: str or `keras.optimizers.Optimizer`. Defaults to SGD with
                learning rate 0.1 and Nesterov momentum 0.9.
            loss: str or `keras.losses.Loss` of labels and logits. Defaults to
                `CrossEntropy(label_smoothing=0.1)`.
            metrics: list of metrics of labels and adversarial logits.
            weight_decay: float >= 0. The loss gains `weight_decay / 2` times
                the sum of the squared kernels; batch normalization, biases and
                learnable activations are left out. Defaults to `1e-4` with the
                default optimizer, else `0.0`. The decoupled decay that an
                optimizer like AdamW has of its own is for kernels only, too.
            attack_schedule: `schedules.AttackSchedule`. How `attack` grows in
                the course of training. Defaults to not at all.
            **kwargs: other arguments of `keras.Model.compile`. Its
                `jit_compile`, bool or `"auto"`, says whether XLA compiles
                attacks and gradients on each replica, once for every size of
                batch; where replicas share batch statistics it compiles the
                attacks alone. `"auto"` means where there is an accelerator.
        """
        if weight_decay == "auto":
            weight_decay = 1e-4 if optimizer == "auto" else 0.0
        checks.real("weight_decay", weight_decay, least=0)
        if optimizer == "auto":
            with self.distribute_strategy.scope():
                optimizer = keras.optimizers.SGD(
                    0.1, momentum=0.9, nesterov=True
                )
        if loss == "auto":
            loss = CrossEntropy(label_smoothing=0.1)
        if not isinstance(attack_schedule, schedules.AttackSchedule | None):
            checks.refuse(
                "attack_schedule",
                "be an AttackSchedule",
                attack_schedule,
                error=TypeError,
            )
        self.weight_decay = weight_decay
        self.attack_schedule = attack_schedule
        self._test_functions = {}
        super().compile(optimizer, loss, metrics=metrics, **kwargs)
        self._decay_kernels_only()

    @after_reading
    def train_step(self, data):
        """One attack and one update; called by `fit`."""
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        seed = self._next_seed(self.seeds)
        step = self.forward_backward
        if not self.shares_statistics:
            step = self.with_xla(step)
        scale = self._attack_scale()
        loss, logits, gradients = step(images, labels, weights, seed, scale)
        self.update(gradients)
        count = tf.shape(images)[0]
        logs = self._update_metrics(loss, count, labels, logits, weights)
        del logs["clean_accuracy"]
        return self.reducible(logs)

    def forward_backward(self, images, labels, weights, seed, scale=None):
        """The attack, the loss on its result, and the gradients.

        Args:
            images: float or uint8 tensor `(batch, height, width, channels)`.
            labels: int `(batch,)` or probabilities `(batch, num_classes)`.
            weights: float tensor `(batch,)`, or `None`.
            seed: int32 tensor `(2,)`.
            scale: factors of the size of the attack; see `Attack.__call__`.

        Returns:
            Scalar loss, adversarial logits, and the gradients of the scaled
            loss for `trainable_variables`.
        """
        images = to_float(images, self.value_range)
        # Inner maximization, at fixed weights and batch statistics.
        attacked = (
            self.model if self.attack_model is None else self.attack_model
        )
        targets = self.objective.targets(inference(attacked), images, labels)
        attack = self.with_xla(lambda *batch: self.attack(attacked, *batch))
        adversarial = attack(images, targets, seed, scale)
        # Outer minimization.
        with tf.GradientTape() as tape:
            loss, logits = self.objective(
                self, images, adversarial, labels, weights
            )
            loss += self._penalty()
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_variables)
        return loss, logits, gradients

    @after_reading
    def test_step(self, data):
        """Clean and adversarial accuracy of a batch; called by `evaluate`."""
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        (images, labels, weights), count = self.never_empty(
            images, labels, weights
        )
        seed = self._next_seed(self.eval_seeds)
        adversarial, logits, clean = self.with_xla(self._attacked)(
            images, labels, seed
        )
        loss = self.compute_loss(
            adversarial, labels, logits, weights, training=False
        )
        labels, logits, clean = labels[:count], logits[:count], clean[:count]
        weights = None if weights is None else weights[:count]
        self.clean_accuracy.update_state(_is_right(labels, clean))
        count = tf.shape(labels)[0]
        return self.reducible(
            self._update_metrics(loss, count, labels, logits, weights)
        )

    def _attacked(self, images, labels, seed):
        """Adversarial images, their logits, and those of the clean images."""
        images = to_float(images, self.value_range)
        adversarial = self.eval_attack(self.model, images, labels, seed)
        logits = self(adversarial, training=False)
        return adversarial, logits, self(images, training=False)

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

        Arrays are checked whole, datasets by their first batch.

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
        x = self._check_data(x, y)
        if isinstance(validation_data, tuple | list):
            self._check_data(*validation_data[:2])
        elif validation_data is not None:
            validation_data = self._check_data(validation_data)
        if y is None:
            # Keras warns of its own default, as only arrays are shuffled.
            kwargs.setdefault("shuffle", False)
        callbacks = monitors.listed(kwargs.pop("callbacks", None))
        validated = validation_data is not None or bool(
            kwargs.get("validation_split")
        )
        monitors.check(self, callbacks, validated)
        # BackupAndRestore leaves the epoch that it went on from.
        self._initial_epoch = None
        with self._averages.fitting():
            return super().fit(
                x,
                y,
                batch_size,
                epochs,
                validation_data=validation_data,
                callbacks=[self._averages, *callbacks],
                **kwargs,
            )

    def evaluate(self, x=None, y=None, *args, attack=None, **kwargs):
        """Loss, clean and robust accuracy; see `keras.Model.evaluate`.

        Args:
            x: see `fit`.
            y: see `fit`.
            *args: see `keras.Model.evaluate`.
            attack: `Attack` to evaluate against. Defaults to `eval_attack`.
            **kwargs: see `keras.Model.evaluate`.
        """
        # Keras sets this during `fit`, which has checked the data already.
        if not kwargs.get("_use_cached_eval_dataset"):
            x = self._check_data(x, y)
        with self._evaluated_against(attack):
            with averaging.averaged_weights(self, self._averages.during_fit):
                return super().evaluate(x, y, *args, **kwargs)

    @contextlib.contextmanager
    def _evaluated_against(self, attack):
        """Lends another attack, with its compiled function if there is one."""
        if attack is None:
            yield
            return
        own, compiled = self.eval_attack, self.test_function
        self.eval_attack = attack.replace(value_range=self.value_range)
        self.test_function = self._test_functions.get(self.eval_attack)
        try:
            yield
            self._test_functions[self.eval_attack] = self.test_function
        finally:
            self.eval_attack, self.test_function = own, compiled

    def predict(self, x, *args, **kwargs):
        """Logits of clean images; see `keras.Model.predict`."""
        x = self._check_data(x, labelled=False)
        with averaging.averaged_weights(self, self._averages.during_fit):
            return super().predict(x, *args, **kwargs)

    def export(
        self, filepath, format="tf_saved_model", verbose=False, **kwargs
    ):
        """Writes the classifier alone, for servers.

        Args:
            filepath: str or path-like. The folder to write; for LiteRT and ONNX
                a file that ends with `.tflite` or `.onnx`.
            format: str. `"tf_saved_model"`, or what `keras.Model.export`
                knows besides, such as `"litert"` and `"onnx"`. Defaults to
                `"tf_saved_model"`.
            verbose: bool. Whether Keras prints what it wrote, in other
                formats. Defaults to `False`.
            **kwargs: arguments of `keras_sat.export.saved_model`, such as
                `class_names`; in other formats, those of
                `keras.Model.export`.
        """
        if format == "tf_saved_model":
            export.saved_model(self, filepath, **kwargs)
        else:
            export.other_format(
                self, filepath, format, verbose=verbose, **kwargs
            )

    def save(self, filepath, **kwargs):
        """Writes a `.keras` file; see `keras.Model`."""
        # What is loaded has an optimizer with a state.
        self.build_optimizer()
        with averaging.averaged_weights(self, self._averages.during_fit):
            super().save(filepath, **kwargs)

    def save_weights(self, filepath, **kwargs):
        """Writes weights and the state of training; see `keras.Model`."""
        self.build_optimizer()
        with averaging.averaged_weights(self, self._averages.during_fit):
            super().save_weights(filepath, **kwargs)

    def load_weights(self, filepath, **kwargs):
        """Loads weights and the state of training; see `keras.Model`."""
        self.build_optimizer()
        with averaging.restarted_unless_loaded(self):
            super().load_weights(filepath, **kwargs)

    def get_weights(self):
        """The weights as arrays; their averages in `on_epoch_end`."""
        with averaging.averaged_weights(self, self._averages.after_epoch):
            return super().get_weights()

    def set_weights(self, weights):
        """Gives weights, and their averages, the values of arrays."""
        super().set_weights(weights)
        averaging.restart(self)

    def save_own_variables(self, store):
        """Adds the states of random numbers to what Keras saves."""
        super().save_own_variables(store)
        seed_states.save(self, store)

    def load_own_variables(self, store):
        """Loads what `save_own_variables` wrote."""
        super().load_own_variables(seed_states.without(store))
        seed_states.load(self, store)

    def get_config(self):
        """The arguments, in a form that Keras can save."""
        return super(keras.Model, self).get_config() | {
            "model": self.model,
            "attack": self.attack,
            "eval_attack": self.eval_attack,
            "objective": self.objective,
            "attack_model": self.attack_model,
            "value_range": self.value_range,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The model that `get_config` described, with new weights."""
        return cls(
            **{
                name: keras.saving.deserialize_keras_object(
                    value, custom_objects
                )
                for name, value in config.items()
            }
        )

    def get_compile_config(self):
        """The arguments of `compile`, in a form that Keras can save."""
        return super().get_compile_config() | {
            "weight_decay": self.weight_decay,
            "attack_schedule": keras.saving.serialize_keras_object(
                self.attack_schedule
            ),
        }

    def compile_from_config(self, config):
        """Compiles as `get_compile_config` described."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.build_optimizer()

    def _penalty(self):
        """Weight decay, divided by the replicas that losses are summed over."""
        if not self.weight_decay:
            return 0.0
        squares = [tf.nn.l2_loss(kernel.value) for kernel in kernels(self)]
        return self.weight_decay * tf.add_n(squares) / self.replicas

    def _decay_kernels_only(self):
        """Leaves the other variables out of the optimizer's own decay."""
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        if optimizer.weight_decay and not optimizer.built:
            decayed = {id(kernel) for kernel in kernels(self)}
            optimizer.exclude_from_weight_decay(
                [v for v in self.trainable_variables if id(v) not in decayed]
            )

    def _attack_scale(self):
        if self.attack_schedule is None:
            return None
        step = schedules.batches_seen(self.optimizer)
        return self.attack_schedule.scale(step)

    def _next_seed(self, generator):
        """A seed that differs between steps and between replicas."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return fold_in(tf.cast(generator.next(), tf.int32), replica)

    def _update_metrics(self, loss, count, labels, logits, weights):
        # Keras divides a loss by the number of replicas.
        self._loss_tracker.update_state(
            loss * self.replicas, sample_weight=count
        )
        self.robust_accuracy.update_state(_is_right(labels, logits))
        return self.compute_metrics(None, labels, logits, weights)

    def _check_data(self, x, y=None, labelled=True):
        return batches.dataset(
            x,
            y,
            labelled,
            value_range=self.value_range,
            image_shape=self.model.input_shape[1:],
            num_classes=self.model.output_shape[-1],
        )


def kernels(model):
    """The trainable variables that weight decay applies to.

    Args:
        model: `keras.Model`.

    Returns:
        List of the kernels of convolutions and dense layers.
    """
    return [v for v in model.trainable_variables if "kernel" in v.name]


def _is_right(labels, logits):
    predicted = tf.argmax(logits, axis=-1, output_type=tf.int32)
    right = predicted == tf.cast(class_ids(labels), tf.int32)
    return tf.cast(right, tf.float32)

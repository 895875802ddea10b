"""`SATModel`: a classifier that trains on the adversarial images it attacks."""

import contextlib
import os

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat import export
from keras_sat import files
from keras_sat import schedules
from keras_sat.attacks import PGD
from keras_sat.attacks import AutoAttack
from keras_sat.attacks.attack import Attack
from keras_sat.attacks.attack import check_untargeted
from keras_sat.attacks.seeds import fold_in
from keras_sat.checks.batches import batch_spec
from keras_sat.checks.datasets import BatchGuard
from keras_sat.checks.datasets import unpack_batch
from keras_sat.config import loaded
from keras_sat.config import saved
from keras_sat.optimizers import batches_seen
from keras_sat.optimizers import inner
from keras_sat.predictions.batch_statistics import STATISTICS
from keras_sat.predictions.inference import inference
from keras_sat.predictions.labels import canonical
from keras_sat.predictions.labels import is_right
from keras_sat.preprocessing.value_range import to_float
from keras_sat.training import callback_checks
from keras_sat.training import seed_states
from keras_sat.training.objectives import AdversarialTraining
from keras_sat.training.objectives import CrossEntropy
from keras_sat.training.objectives import Objective
from keras_sat.training.replicated_model import ReplicatedModel
from keras_sat.training.replicated_model import after_reading
from keras_sat.training.replicated_model import check_scope
from keras_sat.training.stale_statistics import Staleness
from keras_sat.weights import averaging
from keras_sat.weights import decay
from keras_sat.weights.sharing import share_weights

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
        attack_statistics: str. What batch normalization goes by while the
            training attack differentiates the network: `"moving"`, as in the
            paper's code, or `"batch"`, for the mean and variance of the images
            on the same replica, without an update. `evaluate` always goes by
            the moving statistics. Defaults to `"moving"`.

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
        attack_statistics="moving",
        **kwargs,
    ):
        checks.lookup("attack_statistics", attack_statistics, STATISTICS)
        shapes = checks.classifier("model", model)
        _check_attack("attack", attack)
        _check_attack("eval_attack", eval_attack, AutoAttack)
        if not isinstance(objective, Objective | None):
            checks.refuse(
                "objective", "be an Objective", objective, error=TypeError
            )
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
        self.staleness = Staleness(model)
        self.seeds = keras.random.SeedGenerator()
        self.eval_seeds = keras.random.SeedGenerator()
        self.clean_accuracy = keras.metrics.Mean(name="clean_accuracy")
        self.robust_accuracy = keras.metrics.Mean(name="robust_accuracy")
        self.built = True
        self._looked_at = False
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
        check_every_batch=True,
        **kwargs,
    ):
        """Configures training.

        Args:
            optimizer: str or `keras.optimizers.Optimizer`. Defaults to SGD with
                learning rate 0.1 and Nesterov momentum 0.9.
            loss: str or `keras.losses.Loss` of labels and logits; one of
                probabilities (`from_logits=False`) is refused. Defaults to
                `CrossEntropy(label_smoothing=0.1)`.
            metrics: list of metrics of labels and adversarial logits.
            weight_decay: float >= 0. The loss gains `weight_decay / 2` times
                the sum of the squared kernels; batch normalization, biases and
                learnable activations are left out. Defaults to `1e-4` with the
                default optimizer, else `0.0`. The decoupled decay that an
                optimizer like AdamW has of its own is for kernels only, too.
            attack_schedule: `schedules.AttackSchedule`. How `attack` grows in
                the course of training. Defaults to not at all.
            check_every_batch: bool. Whether the batches of a dataset are all
                checked, on the host and while the one before is trained on, so
                that NaN and wrong labels end in words; or else only the first
                one. Defaults to `True`.
            **kwargs: other arguments of `keras.Model.compile`. Its
                `jit_compile`, bool or `"auto"`, says whether XLA compiles
                attacks and gradients on each replica, once for every size of
                batch; where replicas share batch statistics it compiles the
                attacks alone. `"auto"` means where there is an accelerator,
                and goes on without XLA, with a warning, where that cannot
                compile a layer; `True` is refused then.
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
        checks.takes_logits("loss", loss)
        if isinstance(loss, dict) and "class_name" in loss:
            loss = keras.losses.get(loss)
        checks.takes_logits("metrics", metrics)
        checks.takes_logits("weighted_metrics", kwargs.get("weighted_metrics"))
        if not isinstance(attack_schedule, schedules.AttackSchedule | None):
            checks.refuse(
                "attack_schedule",
                "be an AttackSchedule",
                attack_schedule,
                error=TypeError,
            )
        self.weight_decay = weight_decay
        self.attack_schedule = attack_schedule
        self.check_every_batch = check_every_batch
        self._test_functions = {}
        super().compile(optimizer, loss, metrics=metrics, **kwargs)
        self._decay_kernels_only()

    @after_reading
    def train_step(self, data):
        """One attack and one update; called by `fit`."""
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        labels = canonical(labels)
        seed = self._next_seed(self.seeds)
        step = self.forward_backward
        if not self.shares_statistics:
            step = self.with_xla(step)
        scale = self._attack_scale()
        loss, logits, gradients, counts = step(
            images, labels, weights, seed, scale, self._staleness_is_due()
        )
        self.staleness.add(counts)
        self.update(gradients)
        count = tf.shape(images)[0]
        logs = self._update_metrics(loss, count, labels, logits, weights)
        del logs["clean_accuracy"]
        return self.reducible(logs)

    def make_train_function(self, force=False):
        """Compiles what trains a batch; called by `fit`."""
        if force or self.train_function is None:
            super().make_train_function(force=True)
            self.train_function = self.staleness.watched(
                self.train_function, self.steps_per_execution
            )

    def forward_backward(
        self, images, labels, weights, seed, scale=None, due=None
    ):
        """The attack, the loss on its result, and the gradients.

        Args:
            images: float or uint8 tensor `(batch, height, width, channels)`.
            labels: int `(batch,)` or probabilities `(batch, num_classes)`.
            weights: float tensor `(batch,)`, or `None`.
            seed: int32 tensor `(2,)`.
            scale: factors of the size of the attack; see `Attack.__call__`.
            due: bool tensor `()`. Whether to measure the lag of the moving
                statistics; see `Staleness`. Defaults to never.

        Returns:
            Scalar loss, adversarial logits, the gradients of the scaled loss
            for `trainable_variables`, and what `Staleness.measure` counted.
        """
        images = to_float(images, self.value_range)
        # Inner maximization, at fixed weights.
        attacked = inference(
            self.model if self.attack_model is None else self.attack_model,
            self.attack_statistics,
        )
        targets = self.objective.targets(attacked, images, labels)
        attack = self.with_xla(lambda *batch: self.attack(attacked, *batch))
        adversarial = attack(images, targets, seed, scale)
        counts = self.staleness.measure(due, adversarial, labels)
        # Outer minimization.
        with tf.GradientTape() as tape:
            loss, logits = self.objective(
                self, images, adversarial, labels, weights
            )
            loss += tf.cast(self._penalty(), loss.dtype)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_variables)
        return loss, logits, gradients, counts

    @after_reading
    def test_step(self, data):
        """Clean and adversarial accuracy of a batch; called by `evaluate`."""
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        labels = canonical(labels)
        (images, labels, weights), count = self.never_empty(
            images, labels, weights
        )
        seed = self._next_seed(self.eval_seeds)
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
        """Loss and logits of adversarial images, and the clean logits."""
        images = to_float(images, self.value_range)
        adversarial = self.eval_attack(self.model, images, labels, seed)
        logits = self(adversarial, training=False)
        # Here, where the losses of layers are those of these images, and
        # belong to the function that XLA compiles.
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

        Arrays are checked whole before the first step, and batch after batch
        what comes from a dataset, unless `compile` was told otherwise.

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
        watch, held_out = self._watch(), self._watch()
        x = watch.checked(
            x, y, kwargs.get("sample_weight"), kwargs.get("steps_per_epoch")
        )
        self._look_at_outputs(watch)
        validation_data = self._watched_validation(
            held_out, validation_data, kwargs.get("validation_steps")
        )
        if y is None:
            # Keras warns of its own default, as only arrays are shuffled.
            kwargs.setdefault("shuffle", False)
        callbacks = callback_checks.listed(kwargs.pop("callbacks", None))
        validated = validation_data is not None or bool(
            kwargs.get("validation_split")
        )
        callback_checks.check(self, callbacks, validated)
        # BackupAndRestore leaves the epoch that it went on from.
        self._initial_epoch = None
        with (
            watch.original_errors(),
            held_out.original_errors(),
            self._averages.fitting(),
        ):
            return super().fit(
                x,
                y,
                batch_size,
                epochs,
                validation_data=validation_data,
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
        """Loss, clean and robust accuracy; see `keras.Model.evaluate`.

        Args:
            x, y, batch_size: see `fit`.
            verbose, sample_weight, steps, *args, **kwargs: see
                `keras.Model.evaluate`.
            attack: `Attack` to evaluate against. Defaults to `eval_attack`.
        """
        watch = self._watch()
        # Keras sets this during `fit`, which has checked the data already.
        if not kwargs.get("_use_cached_eval_dataset"):
            x = watch.checked(x, y, sample_weight, steps)
            self._look_at_outputs(watch)
        with watch.original_errors(), self._evaluated_against(attack):
            with averaging.averaged_weights(self, self._averages.during_fit):
                return super().evaluate(
                    x,
                    y,
                    batch_size,
                    verbose,
                    sample_weight,
                    steps,
                    *args,
                    **kwargs,
                )

    @contextlib.contextmanager
    def _evaluated_against(self, attack):
        """Lends another attack, with its compiled function if there is one."""
        if attack is None:
            yield
            return
        _check_attack("attack", attack, AutoAttack)
        own, compiled = self.eval_attack, self.test_function
        self.eval_attack = attack.replace(value_range=self.value_range)
        self.test_function = self._test_functions.get(self.eval_attack)
        try:
            yield
            self._test_functions[self.eval_attack] = self.test_function
        finally:
            self.eval_attack, self.test_function = own, compiled

    def predict(self, x, batch_size=None, verbose="auto", steps=None, **kwargs):
        """Logits of clean images; see `keras.Model.predict`."""
        watch = self._watch(labelled=False)
        x = watch.checked(x, steps=steps)
        self._look_at_outputs(watch)
        averaged = averaging.averaged_weights(self, self._averages.during_fit)
        with watch.original_errors(), averaged:
            return super().predict(x, batch_size, verbose, steps, **kwargs)

    def train_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """One step on checked arrays; see `keras.Model.train_on_batch`."""
        watch = self._watch()
        watch.checked(x, y, sample_weight)
        self._look_at_outputs(watch)
        return super().train_on_batch(x, y, sample_weight, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """One evaluated batch of arrays; see `keras.Model.test_on_batch`."""
        watch = self._watch()
        watch.checked(x, y, sample_weight)
        self._look_at_outputs(watch)
        return super().test_on_batch(x, y, sample_weight, **kwargs)

    def predict_on_batch(self, x):
        """Logits of an array of images; see `keras.Model.predict_on_batch`."""
        watch = self._watch(labelled=False)
        watch.checked(x)
        self._look_at_outputs(watch)
        return super().predict_on_batch(x)

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
                export. Defaults to `False`.
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
        """Writes a `.keras` file, whole or not at all; see `keras.Model`."""
        with self._saving(filepath, ".keras", **kwargs) as path:
            super().save(path, **kwargs)

    def save_weights(self, filepath, **kwargs):
        """Writes weights and the state of training; see `keras.Model`."""
        with self._saving(filepath, ".weights.h5", **kwargs) as path:
            super().save_weights(path, **kwargs)

    @contextlib.contextmanager
    def _saving(self, filepath, extension, overwrite=True, **_):
        """Where Keras is to write, so that a local file appears whole."""
        # What is loaded has an optimizer with a state.
        self.build_optimizer()
        name = str(filepath)
        if extension == ".keras" and name.endswith((".h5", ".hdf5")):
            checks.refuse("filepath", "end with '.keras'", filepath)
        averaged = averaging.averaged_weights(self, self._averages.during_fit)
        with averaged, contextlib.ExitStack() as stack:
            # Keras asks before it overwrites, if that is not wanted.
            if overwrite and name.endswith(extension) and "://" not in name:
                folder = os.path.dirname(name) or "."
                files.folder_to_write("filepath", folder, "file", name)
                filepath = stack.enter_context(
                    files.replacing(filepath, extension)
                )
            yield filepath

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
        names = (
            "model",
            "attack",
            "eval_attack",
            "objective",
            "attack_model",
            "value_range",
            "attack_statistics",
        )
        return super(keras.Model, self).get_config() | {
            name: saved(name, getattr(self, name)) for name in names
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The model that `get_config` described, with new weights.

        Args:
            config: dict that `get_config` returned.
            custom_objects: dict from names to functions and classes in it that
                are not registered. Defaults to none.
        """
        return cls(
            **{
                name: loaded(value, custom_objects)
                for name, value in config.items()
            }
        )

    def get_compile_config(self):
        """The arguments of `compile`, in a form that Keras can save."""
        try:
            compiled = super().get_compile_config()
        except (TypeError, OSError) as error:
            checks.refuse(
                "loss and metrics",
                "be names, functions with names, or objects with a "
                "`get_config`, to be saved",
                checks.Described(f"from Keras: {str(error):.200}"),
                "Write functions with `def`.",
                TypeError,
            )
        return compiled | {
            "weight_decay": self.weight_decay,
            "check_every_batch": self.check_every_batch,
            "attack_schedule": saved("attack_schedule", self.attack_schedule),
        }

    def compile_from_config(self, config):
        """Compiles as `get_compile_config` described."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.build_optimizer()

    def _aggregate_additional_loss(self, loss):
        # Layers of several precisions, where Keras adds up without a cast.
        loss = super()._aggregate_additional_loss(loss)
        return tf.cast(loss, keras.config.floatx())

    def _penalty(self):
        """Weight decay, divided by the replicas that losses are summed over."""
        if not self.weight_decay:
            return 0.0
        return self.weight_decay * decay.penalty(self) / self.replicas

    def _decay_kernels_only(self):
        """Leaves the other variables out of the optimizer's own decay."""
        optimizer = inner(self.optimizer)
        if optimizer.weight_decay and not optimizer.built:
            decayed = {id(kernel) for kernel in decay.kernels(self)}
            optimizer.exclude_from_weight_decay(
                [v for v in self.trainable_variables if id(v) not in decayed]
            )

    def _attack_scale(self):
        if self.attack_schedule is None:
            return None
        step = batches_seen(self.optimizer)
        return self.attack_schedule.scale(step)

    def _staleness_is_due(self):
        if self.attack_statistics == "batch":
            return None
        return self.staleness.is_due()

    def _next_seed(self, generator):
        """A seed that differs between steps and between replicas."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return fold_in(tf.cast(generator.next(), tf.int32), replica)

    def _update_metrics(self, loss, count, labels, logits, weights):
        # Keras divides a loss by the number of replicas.
        self._loss_tracker.update_state(
            loss * self.replicas, sample_weight=count
        )
        self.robust_accuracy.update_state(is_right(labels, logits))
        return self.compute_metrics(None, labels, logits, weights)

    def expected_batches(self, labelled=True):
        """Returns a description of the batches that `fit` and its like take.

        Args:
            labelled: bool. Whether labels are needed. Defaults to `True`.

        Returns:
            `checks.batches.BatchSpec`.
        """
        return batch_spec(
            self.model,
            self.value_range,
            image_shape=self.image_shape,
            num_classes=self.num_classes,
            labelled=labelled,
        )

    def _watch(self, labelled=True):
        """A guard for what is trained on, evaluated or predicted."""
        return BatchGuard(
            self.expected_batches(labelled), self.check_every_batch
        )

    def _look_at_outputs(self, watch):
        """Finds, once, probabilities that the graph does not tell of."""
        strategy = self.distribute_strategy
        if self._looked_at or isinstance(strategy, tf.distribute.TPUStrategy):
            return
        images = to_float(watch.first_images[:2], self.value_range)
        predict = inference(self.model)
        if self._jit_compile_asked is True:
            # It may be that nothing else can compute in this precision.
            predict = self.with_xla(predict)
        outputs = predict(images)
        checks.not_probabilities("model", outputs)
        self._looked_at = True

    @staticmethod
    def _watched_validation(watch, data, steps):
        if data is None:
            return None
        if not isinstance(data, tuple | list):
            return watch.checked(data, steps=steps, name="validation_data")
        watch.checked(*unpack_batch(tuple(data)), steps=steps)
        return data


def _check_attack(name, attack, *others):
    """Refuses what a model cannot be trained or evaluated against."""
    kinds = (Attack, *others)
    if not isinstance(attack, kinds):
        named = " or ".join(kind.__name__ for kind in kinds)
        checks.refuse(name, f"be an {named}", attack, error=TypeError)
    if isinstance(attack, Attack):
        check_untargeted(name, [attack])

"""A Keras model that trains on any number of replicas and of workers."""

import contextlib
import functools
import hashlib
import json
import types
import warnings

import keras
import tensorflow as tf
from absl import logging

from keras_sat import checks
from keras_sat import distribution
from keras_sat.distribution import xla
from keras_sat.optimizers import inner
from keras_sat.training.fingerprint import training_settings
from keras_sat.training.keras_gaps import WorkerGaps
from keras_sat.weights import averaging


def after_reading(step):
    """Lets a `train_step` or `test_step` begin when its batch has been read.

    Where the length of the data is not known, the step after the last finds no
    batch. What does not need one, the count of steps and the next seeds, would
    go on all the same, and on some replicas only.
    """

    @functools.wraps(step)
    def begins_later(self, data):
        tensors = [t for t in tf.nest.flatten(data) if t is not None]
        with tf.control_dependencies(tensors):
            return step(self, data)

    return begins_later


class ReplicatedModel(WorkerGaps, keras.Model):
    """What `keras.Model` leaves to be done by hand under `tf.distribute`.

    XLA compiles what a replica computes by itself: around the replicas, where
    Keras puts it, it finds no variables. Batch statistics that replicas do not
    share are averaged after each step, so that all replicas are one model.
    What optimizers of Keras do wrong on several replicas is supplied (clipping
    of the gradients, the check of a loss scale) or refused (accumulation).
    """

    def compile(
        self,
        optimizer="rmsprop",
        *args,
        jit_compile="auto",
        run_eagerly=False,
        **kwargs,
    ):
        """See `SATModel.compile`."""
        given = {"optimizer": optimizer} | kwargs
        for name in ("optimizer", "metrics", "weighted_metrics"):
            _check_parts(name, given.get(name), self.distribute_strategy)
        self._jit_compile_asked = jit_compile
        self._use_xla = (
            xla.wanted(jit_compile, self)
            and not run_eagerly
            # A TPU compiles everything.
            and not isinstance(
                self.distribute_strategy, tf.distribute.TPUStrategy
            )
        )
        with self.distribute_strategy.scope():
            super().compile(
                optimizer,
                *args,
                jit_compile=False,
                run_eagerly=run_eagerly,
                **kwargs,
            )
        _check_optimizer(self.optimizer, self.replicas)

    @property
    def replicas(self):
        """The number of copies of the model that train together."""
        return self.distribute_strategy.num_replicas_in_sync

    @property
    def shares_statistics(self):
        """Whether a step exchanges batch statistics between the replicas."""
        return self.replicas > 1 and any(
            getattr(layer, "synchronized", False)
            for layer in self._flatten_layers()
        )

    def with_xla(self, function):
        """`function` of a replica, with XLA if that is asked for and can be.

        Args:
            function: callable of tensors. It may not communicate.
        """
        if not self._use_xla:
            return function
        # A new one for each replica: they are traced one by one.
        return xla.Function(function, self._jit_compile_asked, self)

    def make_train_function(self, force=False):
        """See `keras.Model`."""
        self._check_trainable()
        check_scope(self)
        if force or self.train_function is None:
            super().make_train_function(force)
            self._guard("train_function")

    def make_test_function(self, force=False):
        """See `keras.Model`."""
        check_scope(self)
        if force or self.test_function is None:
            super().make_test_function(force)
            self._guard("test_function")

    def make_predict_function(self, force=False):
        """See `keras.Model`."""
        check_scope(self)
        super().make_predict_function(force)

    def _check_trainable(self):
        if not self.trainable_variables:
            checks.refuse(
                "model",
                "have weights that can be trained",
                checks.Described(
                    f"{len(self.weights)} weights, none of them trainable"
                ),
                "Set `trainable = True` on the network or on some of its "
                "layers.",
            )

    def _guard(self, name):
        """Lets a function say what XLA finds when it is given a batch.

        The function has taken that batch from the data by then.
        """
        function = getattr(self, name)
        if not self._use_xla:
            return
        has_run = False

        def guarded(*arguments):
            nonlocal has_run
            try:
                results = function(*arguments)
            except tf.errors.OpError as error:
                obstacle = xla.obstacle_in(error, self)
                if obstacle is None or has_run:
                    raise
                raise xla.CannotCompile(obstacle) from error
            has_run = True
            return results

        setattr(self, name, guarded)

    def _with_or_without_xla(self, run, data=None):
        """`run()`, from the start again where XLA cannot compile its steps.

        Args:
            run: function without arguments.
            data: what it reads. A generator cannot be read again.
        """
        if not self._use_xla:
            return run()
        # What a step may change before it fails in the middle.
        kept = [self.optimizer.iterations, self.seeds.state]
        kept = [(v, v.numpy()) for v in (*kept, self.eval_seeds.state)]
        try:
            return run()
        except xla.CannotCompile as error:
            again = not isinstance(data, types.GeneratorType)
            asked = self._jit_compile_asked if again else True
            xla.give_up(asked, self, str(error))
        for variable, value in kept:
            variable.assign(value)
        self._use_xla = False
        self.train_function = self.test_function = None
        return run()

    def build_optimizer(self):
        """Creates the state of the optimizer, if it has none."""
        with self.distribute_strategy.scope():
            averaging.build(self)

    def update(self, gradients):
        """One step of the optimizer, with the gradients of all replicas."""
        if self.replicas > 1:
            gradients = _as_one(gradients, self.optimizer, self.replicas)
        if self.replicas > 1 and not self.shares_statistics:
            _average(self.non_trainable_variables)
        averaging.update(self)
        self.optimizer.apply(gradients, self.trainable_variables)

    def predict_step(self, data):
        """Outputs for a batch; called by `predict`."""
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        (padded,), count = self.never_empty(inputs)
        return self(padded, training=False)[:count]

    def never_empty(self, *parts):
        """The share of a replica of a batch, with an image in any case.

        A replica gets none if the last batch is smaller than their number.

        Args:
            *parts: tensors with the batch in front, or `None`.

        Returns:
            List of `parts`, in place of an empty one one that is a single
            zero; and the number of examples that are true, a slice of which
            changes nothing if it is `None`.
        """
        if self.replicas == 1 or parts[0].shape[0] is not None:
            return list(parts), None
        padded = [None if part is None else _padded(part) for part in parts]
        return padded, tf.shape(parts[0])[0]

    def fit(self, x=None, y=None, batch_size=None, *args, **kwargs):
        """See `SATModel.fit`."""
        strategy = self.distribute_strategy
        self._check_trainable()
        check_scope(self, x, kwargs.get("validation_data"))
        self.build_optimizer()
        if self.replicas > 1:
            x = _for_replicas(x, y, batch_size, self.replicas)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_words_for_lost_workers(strategy))
            _check_same_on_all_workers(self)
            for callback in keras.tree.flatten(kwargs.get("callbacks")):
                # One that goes on from a checkpoint, like `callbacks.Resume`.
                if hasattr(callback, "session"):
                    session = callback.session(
                        self, x, kwargs.get("steps_per_epoch")
                    )
                    epoch = stack.enter_context(session)
                    if epoch is not None:
                        kwargs["initial_epoch"] = epoch
            if self.replicas > 1:
                stack.enter_context(warnings.catch_warnings())
                # Keras warns of the end of data of unknown length.
                warnings.filterwarnings("ignore", "Your input ran out of data")
            fit = super().fit
            return self._with_or_without_xla(
                lambda: fit(x, y, batch_size, *args, **kwargs), x
            )

    def evaluate(self, x=None, *args, **kwargs):
        """See `SATModel.evaluate`."""
        check_scope(self, x)
        evaluate = super().evaluate
        return self._with_or_without_xla(
            lambda: evaluate(x, *args, **kwargs), x
        )

    def train_on_batch(self, *args, **kwargs):
        """See `keras.Model`."""
        train = super().train_on_batch
        return self._with_or_without_xla(lambda: train(*args, **kwargs))

    def test_on_batch(self, *args, **kwargs):
        """See `keras.Model`."""
        test = super().test_on_batch
        return self._with_or_without_xla(lambda: test(*args, **kwargs))

    def predict(self, x, *args, **kwargs):
        """See `SATModel.predict`."""
        check_scope(self, x)
        return super().predict(x, *args, **kwargs)

    def get_compile_config(self):
        """The arguments of `compile`, in a form that Keras can save."""
        return super().get_compile_config() | {
            "jit_compile": self._jit_compile_asked
        }


def check_scope(model, *data):
    """Refuses a model, or data, that its strategy does not hold.

    Args:
        model: `keras.Model`. The strategy is that of the model, if it has one
            already, or the current one.
        *data: what `fit` and its like are given.
    """
    strategy = distribution.current_strategy(model)
    for dataset in data:
        if not isinstance(dataset, tf.distribute.DistributedDataset):
            continue
        if dataset._strategy is not strategy:
            checks.refuse(
                "dataset",
                "be distributed by the strategy of the model, or by none",
                checks.Described(
                    f"one of a {type(dataset._strategy).__name__} for a model "
                    f"of a {type(strategy).__name__}"
                ),
                "Pass the `tf.data.Dataset` itself: it is distributed here.",
            )
    optimizer = getattr(model, "optimizer", None)
    parts = {
        "model": model.variables,
        "optimizer": optimizer.variables if optimizer else [],
        "metrics": model.metrics_variables,
    }
    for name, variables in parts.items():
        _check_variables(name, variables, strategy)


def _check_parts(name, parts, strategy):
    """Refuses an optimizer or metrics of another strategy."""
    for part in keras.tree.flatten(parts):
        # What Keras makes itself of a name, it makes in the scope.
        if isinstance(part, keras.optimizers.Optimizer | keras.metrics.Metric):
            _check_variables(name, part.variables, strategy)


def _check_variables(name, variables, strategy):
    for variable in variables:
        if not strategy.extended.variable_created_in_scope(variable.value):
            checks.refuse(
                name,
                "be built in the scope of the strategy that trains it",
                checks.Described(
                    f"{variable.path!r}, built outside of the "
                    f"{type(strategy).__name__}"
                ),
                "Build the network, SATModel, and optimizers and metrics "
                "in one `with strategy.scope():`.",
            )


def _check_optimizer(optimizer, replicas):
    """Refuses what Keras's optimizers do wrong on several replicas."""
    if replicas == 1 or optimizer is None:
        return
    scaled = inner(optimizer)
    wrong = {
        "gradient_accumulation_steps": "Use a larger batch.",
        "ema_overwrite_frequency": "Use plain `use_ema=True`.",
    }
    if scaled is not optimizer:
        why = "A loss scale is not clipped rightly. Use bfloat16."
        wrong |= dict.fromkeys(
            ("clipnorm", "global_clipnorm", "clipvalue"), why
        )
    for name, why in wrong.items():
        if getattr(scaled, name, None) is not None:
            checks.refuse(
                name, "be None on several replicas", getattr(scaled, name), why
            )


def _as_one(gradients, optimizer, replicas):
    """Gradients that an optimizer treats like those of a single replica."""
    if inner(optimizer) is not optimizer:
        # The first replica decides for all whether a step is finite: NaN in
        # all of them, if there is an infinity in one.
        zero = tf.add_n(
            [tf.cast(tf.reduce_sum(0 * g), tf.float32) for g in gradients]
        )
        (zero,) = _all_reduce("SUM", [zero])
        return [g + tf.cast(zero, g.dtype) for g in gradients]
    limits = optimizer.clipnorm, optimizer.global_clipnorm, optimizer.clipvalue
    if any(limit is not None for limit in limits):
        # Clipped once as a whole; the parts, that the optimizer adds up, are
        # within the limits themselves.
        whole = _all_reduce("SUM", gradients)
        return [g / replicas for g in optimizer._clip_gradients(whole)]
    return gradients


def _average(variables):
    """Gives moving statistics the mean over the replicas."""
    variables = [v for v in variables if v.dtype.startswith("float")]
    if not variables:
        return
    means = _all_reduce("MEAN", [tf.convert_to_tensor(v) for v in variables])
    for variable, mean in zip(variables, means, strict=True):
        variable.assign(mean)


def _all_reduce(operation, tensors):
    """The sums or means of tensors over all replicas."""
    # A variable's value is on no device of its own: several workers refuse it.
    tensors = [tf.identity(tensor) for tensor in tensors]
    context = tf.distribute.get_replica_context()
    return context.all_reduce(operation, tensors)


def _padded(part):
    missing = tf.maximum(1 - tf.shape(part)[0], 0)
    shape = tf.concat([[missing], tf.shape(part)[1:]], axis=0)
    # Not tf.pad: that and a convolution are wrongly made one on CPUs.
    return tf.concat([part, tf.zeros(shape, part.dtype)], axis=0)


def _for_replicas(x, y, batch_size, replicas):
    """The data in batches that replicas can share evenly.

    Raises:
        ValueError: If they cannot share the first batch.
    """
    if y is not None:
        batch_size = batch_size or 32
        _check_batch("batch_size", batch_size, replicas)
        rest = len(x) % batch_size
        _check_batch("the last batch", rest, replicas)
    if not isinstance(x, tf.data.Dataset):
        return x
    size = tf.nest.flatten(x.element_spec)[0].shape[0]
    if size is not None:
        _check_batch("batch_size", size, replicas)
        return x
    first = next(iter(x.take(1)))
    size = int(tf.shape(tf.nest.flatten(first)[0])[0])
    _check_batch("batch_size", size, replicas)
    logging.info("Batches of other sizes than %d are left out.", size)

    def is_full(*batch):
        return tf.shape(tf.nest.flatten(batch)[0])[0] == size

    def with_known_size(*batch):
        return tf.nest.map_structure(
            lambda part: tf.ensure_shape(part, [size, *part.shape[1:]]), batch
        )

    return x.filter(is_full).map(with_known_size)


def _check_batch(name, size, replicas):
    if size % replicas:
        checks.refuse(
            name,
            f"be a multiple of the number of replicas, {replicas}",
            size,
        )


def _check_same_on_all_workers(model):
    """Refuses to train one model here and another one on another worker."""
    strategy = model.distribute_strategy
    if not distribution.several_workers(strategy):
        return
    settings = training_settings(model)
    digests = [
        int.from_bytes(
            hashlib.sha256(json.dumps(part).encode()).digest()[:7], "big"
        )
        for part in settings.values()
    ]
    local = strategy.experimental_distribute_values_from_function(
        lambda _: tf.constant([digests], tf.int64)
    )
    everywhere = strategy.gather(local, axis=0).numpy()
    for name, column in zip(settings, everywhere.T, strict=True):
        if len(set(column)) > 1:
            checks.refuse(
                name,
                "be the same on all workers",
                checks.Described(
                    f"{len(set(column))} different ones; here: "
                    f"{settings[name]!r:.300}"
                ),
                "Start every worker by the same command.",
            )


@contextlib.contextmanager
def _words_for_lost_workers(strategy):
    """Says what to do when another worker has ended."""
    try:
        yield
    except tf.errors.OpError as error:
        if not distribution.several_workers(strategy):
            raise
        lines = error.message.strip().splitlines()
        raise RuntimeError(
            "`fit` must reach all workers. Received from TensorFlow: "
            f"{type(error).__name__}: {lines[-1]:.300} "
            "Probably another worker has ended. Start all workers again by "
            "the same command: with `callbacks.Resume` they go on from the "
            "last checkpoint."
        ) from error

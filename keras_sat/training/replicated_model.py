"""A Keras model that trains on any number of replicas and of workers."""

import contextlib
import functools
import warnings

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat import distribution
from keras_sat.attacks.seeds import fold_in
from keras_sat.training import replica_batches
from keras_sat.training import replica_updates
from keras_sat.training import worker_agreement
from keras_sat.training.fingerprint import described
from keras_sat.training.fingerprint import described_variables
from keras_sat.training.fingerprint import without_names
from keras_sat.training.keras_gaps import KerasGaps
from keras_sat.training.scope_checks import check_compile_arguments
from keras_sat.training.scope_checks import check_scope
from keras_sat.training.surrounding_callback import SurroundingCallback
from keras_sat.training.xla_fallback import XLAFallback
from keras_sat.weights import averaging


def after_reading(step):
    """Decorates a `train_step` or `test_step` to begin once its batch is read.

    Where the length of the data is not known, the step after the last finds no
    batch. Operations that need none, like the count of steps and the next
    seeds, would run all the same, and on some replicas only.

    Args:
        step: method of a model and a batch.
    """

    @functools.wraps(step)
    def begins_later(self, data):
        tensors = [t for t in tf.nest.flatten(data) if t is not None]
        with tf.control_dependencies(tensors):
            return step(self, data)

    return begins_later


class ReplicatedModel(XLAFallback, KerasGaps, keras.Model):
    """A `keras.Model` that trains the same on one replica and on several.

    Keras leaves some of that to be done by hand under `tf.distribute`. Here XLA
    compiles what a replica computes by itself. Batch statistics that replicas
    do not share are averaged after each step, so that all replicas are one
    model. Where Keras's optimizers go wrong on several replicas, they are
    corrected (clipped gradients, the check of a loss scale) or refused
    (accumulated gradients).
    """

    def compile(self, optimizer="rmsprop", *args, **kwargs):
        """See `SATModel.compile`."""
        strategy = self.distribute_strategy
        check_compile_arguments({"optimizer": optimizer} | kwargs, strategy)
        with strategy.scope():
            super().compile(optimizer, *args, **kwargs)
        replica_updates.check_optimizer(self.optimizer, self.replicas)

    @property
    def replicas(self):
        """The number of copies of the model that train together."""
        return self.distribute_strategy.num_replicas_in_sync

    @property
    def shares_statistics(self):
        """`True` if a step exchanges batch statistics between replicas."""
        return self.replicas > 1 and any(
            getattr(layer, "synchronized", False)
            for layer in self._flatten_layers()
        )

    def make_train_function(self, force=False):
        """See `keras.Model`."""
        self._check_trainable()
        check_scope(self)
        super().make_train_function(force)

    def make_test_function(self, force=False):
        """See `keras.Model`."""
        check_scope(self)
        super().make_test_function(force)

    def make_predict_function(self, force=False):
        """See `keras.Model`."""
        check_scope(self)
        super().make_predict_function(force)

    def build_optimizer(self):
        """Creates the state of the optimizer, if it has none."""
        with self.distribute_strategy.scope():
            averaging.build(self)

    def update(self, gradients):
        """Makes one step of the optimizer, with the gradients of all replicas.

        Args:
            gradients: list of tensors, one for each of `trainable_variables`:
                those of this replica.
        """
        if self.replicas > 1:
            gradients = replica_updates.as_of_one_replica(
                gradients, self.optimizer, self.replicas
            )
        if self.replicas > 1 and not self.shares_statistics:
            replica_updates.average(self.non_trainable_variables)
        # Before the optimizer moves the averages of what it trains, and counts.
        averaging.update(self)
        self.optimizer.apply(gradients, self.trainable_variables)

    def next_seed(self, generator):
        """Returns a seed that differs between steps and between replicas.

        Args:
            generator: `keras.random.SeedGenerator`. It gives the same numbers
                on all replicas.

        Returns:
            int32 tensor `(2,)`.
        """
        return self.seed_of_replica(generator.next())

    def seed_of_replica(self, seed):
        """Returns a seed for this replica, from one that all of them share.

        Args:
            seed: int tensor `(2,)`.

        Returns:
            int32 tensor `(2,)`.
        """
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return fold_in(tf.cast(seed, tf.int32), replica)

    def predict_step(self, data):
        """Returns the outputs for a batch; called by `predict`."""
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        (padded,), count = replica_batches.never_empty([inputs], self.replicas)
        return self(padded, training=False)[:count]

    def fit(self, x=None, y=None, batch_size=None, *args, **kwargs):
        """See `SATModel.fit`."""
        self._check_trainable()
        check_scope(self, x, kwargs.get("validation_data"))
        self.build_optimizer()
        if self.replicas > 1:
            x = replica_batches.shared_evenly(x, y, batch_size, self.replicas)
        with contextlib.ExitStack() as stack:
            self._enter_workers(stack)
            epoch = self._enter_callbacks(
                stack, kwargs.get("callbacks"), x, kwargs.get("steps_per_epoch")
            )
            if epoch is not None:
                kwargs["initial_epoch"] = epoch
            if self.replicas > 1:
                stack.enter_context(warnings.catch_warnings())
                # Keras warns of the end of data of unknown length.
                warnings.filterwarnings("ignore", "Your input ran out of data")
            return super().fit(x, y, batch_size, *args, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        """See `SATModel.evaluate`."""
        check_scope(self, x)
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """See `SATModel.predict`."""
        check_scope(self, x)
        return super().predict(x, *args, **kwargs)

    def fingerprint(self):
        """Describes what two runs of training must share to be one.

        Checkpoints hold the description of the run that wrote them, and workers
        compare theirs before they train.

        Returns:
            Dict from the name of a part of the network or of the recipe to its
            description, as JSON holds it.
        """
        variables = [*self.variables, *self.optimizer.variables]
        return described(
            variables=described_variables(variables),
            optimizer=without_names(self.optimizer),
            loss=without_names(self.loss),
        )

    def _enter_workers(self, stack):
        """Checks that all workers train one model, until `stack` is closed."""
        strategy = self.distribute_strategy
        stack.enter_context(worker_agreement.lost_workers_explained(strategy))
        if distribution.several_workers(strategy):
            worker_agreement.check_same_on_all_workers(
                self.fingerprint(), strategy
            )

    def _enter_callbacks(self, stack, callbacks, dataset, steps_per_epoch):
        """Begins the callbacks that surround `fit`, until `stack` is closed.

        Returns:
            The epoch that one of them begins with, or `None`.
        """
        first = None
        for callback in keras.tree.flatten(callbacks):
            if isinstance(callback, SurroundingCallback):
                epoch = stack.enter_context(
                    callback.around_fit(self, dataset, steps_per_epoch)
                )
                first = first if epoch is None else epoch
        return first

    def _check_trainable(self):
        """Refuses a model without a weight that can be trained."""
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

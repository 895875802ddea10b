"""Images and labels that are checked wherever they enter a model."""

import contextlib

import tensorflow as tf

from keras_sat import checks
from keras_sat.checks.batches import batch_spec
from keras_sat.checks.datasets import BatchGuard
from keras_sat.checks.datasets import unpack_batch
from keras_sat.predictions.inference import inference
from keras_sat.preprocessing.value_range import to_float


class CheckedData:
    """Mixin of `SATModel` that checks the data of `fit`, `predict` and so on.

    Arrays are checked whole before they are used, datasets batch by batch while
    they are read. The first images also show whether the network returns
    probabilities instead of logits.
    """

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

    @contextlib.contextmanager
    def checked(self, x, y=None, weights=None, steps=None, labelled=True):
        """Checks what a method is given, and names what is wrong with it.

        Args:
            x: array of images, or what gives batches; see `BatchGuard.checked`.
            y: array of labels, if `x` is an array.
            weights: array of sample weights, if `x` is an array.
            steps: int. How many batches are read. All of them if `None`.
            labelled: bool. Whether labels are needed. Defaults to `True`.

        Yields:
            An object with the same batches as `x`, each checked when it is
            read. It has to be read within the context.

        Raises:
            TypeError: If images or labels are of a kind that cannot be used.
            ValueError: If their shapes or values are wrong, or there are none.
        """
        guard = self._guard(labelled)
        x = guard.checked(x, y, weights, steps)
        self._check_outputs(guard.first_images)
        with self._watched_by(guard):
            yield x

    @contextlib.contextmanager
    def checked_validation(self, data, steps=None):
        """Checks the data for validation; see `checked`.

        Args:
            data: what gives batches, tuple of arrays, or `None`.
            steps: int. How many batches are read. All of them if `None`.
        """
        guard = self._guard()
        if isinstance(data, tuple | list):
            guard.checked(*unpack_batch(tuple(data)), steps=steps)
        elif data is not None:
            data = guard.checked(data, steps=steps, name="validation_data")
        with self._watched_by(guard):
            yield data

    def make_train_function(self, force=False):
        """See `keras.Model`."""
        if force or self.train_function is None:
            super().make_train_function(force)
            self.train_function = self._not_ending_early(self.train_function)

    def make_test_function(self, force=False):
        """See `keras.Model`."""
        if force or self.test_function is None:
            super().make_test_function(force)
            self.test_function = self._not_ending_early(self.test_function)

    def predict(self, x, batch_size=None, verbose="auto", steps=None, **kwargs):
        """Returns the logits of clean images; see `keras.Model.predict`.

        Args:
            x: array of images, or what gives batches of them; see `fit`. Labels
                beside them are not looked at.
            batch_size: int. For arrays. Defaults to 32.
            verbose, steps, **kwargs: see `keras.Model.predict`.

        Returns:
            float array `(number of images, num_classes)`.
        """
        with self.checked(x, steps=steps, labelled=False) as x:
            with self._averages.lent_in_fit(self):
                return super().predict(x, batch_size, verbose, steps, **kwargs)

    def train_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Trains on checked arrays; see `keras.Model.train_on_batch`."""
        with self.checked(x, y, sample_weight):
            return super().train_on_batch(x, y, sample_weight, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Evaluates on checked arrays; see `keras.Model.test_on_batch`."""
        with self.checked(x, y, sample_weight):
            return super().test_on_batch(x, y, sample_weight, **kwargs)

    def predict_on_batch(self, x):
        """Returns the logits of images; see `keras.Model.predict_on_batch`."""
        with self.checked(x, labelled=False):
            return super().predict_on_batch(x)

    @contextlib.contextmanager
    def _watched_by(self, guard):
        """Raises what a guard has refused while data are read."""
        self._watches.append(guard)
        try:
            with guard.original_errors():
                yield
        finally:
            self._watches.remove(guard)

    def _not_ending_early(self, function):
        """Returns a step that takes no bad batch for the end of the data.

        When several replicas read a bad batch, the first one gets the error and
        the next ones find nothing behind it. If they are faster, the step says
        that the data have ended, and Keras ends the epoch without a word.

        Args:
            function: compiled function from an iterator to results.
        """

        def step(iterator):
            try:
                return function(iterator)
            except (tf.errors.OutOfRangeError, StopIteration):
                for guard in self._watches:
                    guard.raise_refused()
                raise

        return step

    def _guard(self, labelled=True):
        """Returns a guard for data that enter a method."""
        return BatchGuard(
            self.expected_batches(labelled), self.check_every_batch
        )

    def _check_outputs(self, images):
        """Refuses a network that returns probabilities, once, by its outputs.

        Those of a softmax are found in its graph before; not those that are
        computed by hand.

        Args:
            images: array. A few of them are classified.
        """
        strategy = self.distribute_strategy
        # A TPU runs nothing outside of `strategy.run`.
        if self._outputs_checked or isinstance(
            strategy, tf.distribute.TPUStrategy
        ):
            return
        images = to_float(images[:2], self.value_range)
        predict = inference(self.model)
        if self._jit_compile_asked is True:
            # It may be that nothing else can compute in this precision.
            predict = self.with_xla(predict)
        checks.not_probabilities("model", predict(images))
        self._outputs_checked = True

"""Steps that XLA compiles, and that run without it where it cannot."""

import types

import tensorflow as tf

from keras_sat.distribution import xla


class XLAFallback:
    """Mixin of a `keras.Model` that compiles the steps of a replica by XLA.

    Keras puts XLA around all replicas, where it finds none of their variables.
    Here it compiles functions inside of a replica, which subclasses name by
    `with_xla`. Where it was not asked for by name (`jit_compile="auto"`) and
    cannot compile a layer, training starts again without it.
    """

    def compile(self, *args, jit_compile="auto", run_eagerly=False, **kwargs):
        """See `SATModel.compile`."""
        self._jit_compile_asked = jit_compile
        # A TPU compiles everything by itself.
        on_tpu = isinstance(self.distribute_strategy, tf.distribute.TPUStrategy)
        self._use_xla = xla.wanted(jit_compile, self) and not (
            run_eagerly or on_tpu
        )
        super().compile(
            *args, jit_compile=False, run_eagerly=run_eagerly, **kwargs
        )

    def get_compile_config(self):
        """Returns the arguments of `compile`, in a form that Keras can save."""
        return super().get_compile_config() | {
            "jit_compile": self._jit_compile_asked
        }

    def with_xla(self, function):
        """Returns `function`, compiled by XLA if that is asked for and can be.

        Args:
            function: callable of tensors, which runs on a replica. It may not
                communicate with other replicas.
        """
        if not self._use_xla:
            return function
        # A new one for each replica: they are traced one by one.
        return xla.Function(function, self._jit_compile_asked, self)

    def make_train_function(self, force=False):
        """See `keras.Model`."""
        if force or self.train_function is None:
            super().make_train_function(force)
            self.train_function = self._telling_of_xla(self.train_function)

    def make_test_function(self, force=False):
        """See `keras.Model`."""
        if force or self.test_function is None:
            super().make_test_function(force)
            self.test_function = self._telling_of_xla(self.test_function)

    def fit(self, x=None, *args, **kwargs):
        """See `SATModel.fit`."""
        fit = super().fit
        return self._with_or_without_xla(lambda: fit(x, *args, **kwargs), x)

    def evaluate(self, x=None, *args, **kwargs):
        """See `SATModel.evaluate`."""
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

    def step_state(self):
        """Returns the variables that a step may change although it fails.

        Returns:
            List of variables that do not depend on what XLA compiles, like the
            count of steps. The weights do: they are changed after it or never.
        """
        return [self.optimizer.iterations]

    def _telling_of_xla(self, function):
        """Returns a step that raises `CannotCompile` if its first run shows it.

        XLA finds some obstacles only when it is given a batch, which the step
        has then taken from the data: all of `fit` has to start again.

        Args:
            function: compiled function of one or more steps.
        """
        if not self._use_xla:
            return function
        has_run = False

        def telling(*arguments):
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

        return telling

    def _with_or_without_xla(self, run, data=None):
        """Returns `run()`, started again without XLA if that cannot compile.

        Args:
            run: function without arguments.
            data: what it reads. A generator cannot be read again.
        """
        if not self._use_xla:
            return run()
        state = [(v, v.numpy()) for v in self.step_state()]
        try:
            return run()
        except xla.CannotCompile as error:
            can_restart = not isinstance(data, types.GeneratorType)
            asked = self._jit_compile_asked if can_restart else True
            xla.give_up(asked, self, str(error))
        for variable, value in state:
            variable.assign(value)
        self._use_xla = False
        self.train_function = self.test_function = None
        return run()

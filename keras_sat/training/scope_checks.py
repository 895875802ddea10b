"""Checks that a model and its data belong to the strategy that trains them."""

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat import distribution


def check_scope(model, *data):
    """Refuses a model, or data, of another strategy than the one that is used.

    Args:
        model: `keras.Model`. The strategy is that of the model, if it has one
            already, or the current one.
        *data: what `fit` and its like are given.

    Raises:
        ValueError: If the model was built, or data were distributed, under
            another strategy.
    """
    strategy = distribution.current_strategy(model)
    for dataset in data:
        if isinstance(dataset, tf.distribute.DistributedDataset):
            _check_dataset(dataset, strategy)
    optimizer = getattr(model, "optimizer", None)
    parts = {
        "model": model.variables,
        "optimizer": optimizer.variables if optimizer else [],
        "metrics": model.metrics_variables,
    }
    # A variable from outside of the scope has no copy on each replica.
    for name, variables in parts.items():
        _check_variables(name, variables, strategy)


def check_compile_arguments(arguments, strategy):
    """Refuses an optimizer or metrics that were built under another strategy.

    Args:
        arguments: dict from the names of arguments of `compile` to their
            values. Of names like "sgd" Keras makes objects in the right scope.
        strategy: `tf.distribute.Strategy` of the model.

    Raises:
        ValueError: If one was built outside of the scope of `strategy`.
    """
    kinds = keras.optimizers.Optimizer, keras.metrics.Metric
    for name in ("optimizer", "metrics", "weighted_metrics"):
        for part in keras.tree.flatten(arguments.get(name)):
            if isinstance(part, kinds):
                _check_variables(name, part.variables, strategy)


def _check_dataset(dataset, strategy):
    """Refuses a distributed dataset of another strategy."""
    # TensorFlow tells its strategy by a private attribute only.
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


def _check_variables(name, variables, strategy):
    """Refuses variables that were created outside of a strategy's scope."""
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

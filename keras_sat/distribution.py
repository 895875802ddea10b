"""One machine to many: choosing a strategy, and what Keras lacks under one."""

import tensorflow as tf


def several_workers(strategy):
    """Whether `strategy` spans several processes that run the same program."""
    return (
        isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        and strategy.cluster_resolver is not None
        and bool(strategy.cluster_resolver.cluster_spec().as_dict())
    )


def is_chief(strategy):
    """Whether this process is the one that writes files."""
    if not several_workers(strategy):
        return True
    resolver = strategy.cluster_resolver
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_id == 0


def on_any_worker(strategy, flag):
    """Whether `flag` is true on at least one worker; all have to ask."""
    if not several_workers(strategy):
        return flag
    values = strategy.experimental_distribute_values_from_function(
        lambda _: tf.constant(float(flag))
    )
    return bool(strategy.reduce("SUM", values, axis=None) > 0)

"""The choice of a strategy, and questions to the chosen one."""

import collections
import json
import os

import tensorflow as tf

from keras_sat import checks
from keras_sat import programs

# The devices that `strategy` can be asked for.
KINDS = ("auto", "tpu", "workers", "slurm", "gpus", "one")


def strategy(kind="auto", devices=None, tpu=None):
    """Returns the `tf.distribute` strategy for the hardware that is present.

    `"auto"` takes the first that applies: a TPU, the workers that the
    environment variable `TF_CONFIG` lists, several GPUs, one device. The choice
    is printed. Call this before you use TensorFlow for anything else. Build the
    network, the `SATModel` and the arguments of `compile` in the `scope()` of
    the strategy.

    Args:
        kind: str. `"auto"`, `"tpu"`, `"workers"` (from `TF_CONFIG`), `"slurm"`
            (workers from SLURM's environment variables), `"gpus"` (all GPUs of
            this machine) or `"one"` (one device). Defaults to `"auto"`.
        devices: list of str. Devices of this machine to mirror the model on,
            like `["GPU:0", "GPU:1"]`. Only for `"auto"` and `"gpus"`.
            Defaults to all GPUs.
        tpu: str. Name or address of the TPU. Only for `"auto"` and `"tpu"`.
            Defaults to the local TPU.

    Returns:
        `tf.distribute.Strategy`.

    Raises:
        ValueError: If `kind` is unknown, if the hardware is missing, if
            arguments contradict each other, or if `TF_CONFIG` cannot be used.

    Example:

    ```python
    with keras_sat.strategy().scope():
        model = keras_sat.SATModel(keras_sat.resnet(50, activation="silu"))
    model.fit(train_ds)
    ```
    """
    checks.one_of("kind", kind, KINDS)
    if devices and kind not in ("auto", "gpus"):
        checks.refuse("kind", "be 'auto' or 'gpus' with `devices`", kind)
    if tpu and kind not in ("auto", "tpu"):
        checks.refuse("kind", "be 'auto' or 'tpu' with `tpu`", kind)
    if kind == "auto":
        kind = "gpus" if devices else _kind(tpu)
    chosen = _build(kind, devices, tpu)
    programs.say(_described(chosen))
    return chosen


def _described(chosen):
    """Returns the devices of a strategy in words: "2 GPUs, MirroredStrategy".

    Args:
        chosen: `tf.distribute.Strategy`.
    """
    if chosen is tf.distribute.get_strategy():
        name = "no strategy"
        # It names no device, and TensorFlow takes a GPU if there is one.
        kinds = ["GPU" if tf.config.list_physical_devices("GPU") else "CPU"]
    else:
        name = type(chosen).__name__
        kinds = [d.split(":")[-2] for d in chosen.extended.worker_devices]
    counts = collections.Counter(kinds).items()
    words = [f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in counts]
    if several_workers(chosen):
        total = chosen.num_replicas_in_sync
        words.append(f"{total} replicas on all workers")
    return ", ".join([*words, name])


def _kind(tpu):
    """Returns the kind of strategy that `"auto"` stands for on this machine."""
    # Not "slurm": the variables of a job do not tell if its processes are to
    # train one model together.
    if (
        tpu
        or "TPU_NAME" in os.environ
        or tf.config.list_physical_devices("TPU")
    ):
        return "tpu"
    if "TF_CONFIG" in os.environ:
        return "workers"
    gpus = tf.config.list_physical_devices("GPU")
    return "gpus" if len(gpus) > 1 else "one"


def _build(kind, devices, tpu):
    """Returns the strategy of a kind; the arguments are those of `strategy`."""
    resolvers = tf.distribute.cluster_resolver
    if kind == "tpu":
        name = tpu or os.environ.get("TPU_NAME", "local")
        resolver = resolvers.TPUClusterResolver.connect(name)
        return tf.distribute.TPUStrategy(resolver)
    if kind == "slurm":
        resolver = resolvers.SlurmClusterResolver()
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)
    if kind == "workers":
        _check_workers(os.environ.get("TF_CONFIG", ""))
        return tf.distribute.MultiWorkerMirroredStrategy()
    if kind == "gpus":
        if not devices and not tf.config.list_physical_devices("GPU"):
            described = checks.Described("'gpus' on a machine without a GPU")
            checks.refuse("kind", "name hardware that is there", described)
        return tf.distribute.MirroredStrategy(devices)
    return tf.distribute.get_strategy()


def _check_workers(value):
    """Refuses a `TF_CONFIG` that does not describe workers and this task.

    Args:
        value: str. The value of the environment variable.
    """
    expected = (
        "be JSON like "
        '{"cluster": {"worker": ["host:port", ...]}, '
        '"task": {"type": "worker", "index": 0}}'
    )
    try:
        config = json.loads(value)
        addresses = config["cluster"][config["task"]["type"]]
        index = int(config["task"]["index"])
    except (ValueError, KeyError, TypeError):
        checks.refuse("TF_CONFIG", expected, value)
    if not 0 <= index < len(addresses):
        checks.refuse("TF_CONFIG", expected, value, "There is no such index.")
    everyone = [a for job in config["cluster"].values() for a in job]
    if len(set(everyone)) < len(everyone):
        checks.refuse("TF_CONFIG", expected, value, "Two addresses are equal.")


def current_strategy(model):
    """Returns the strategy that a model was built under, else the current one.

    Args:
        model: `keras.Model`, or function.

    Returns:
        `tf.distribute.Strategy`.

    Raises:
        ValueError: If the model was built under one strategy, and another one
            is current.
    """
    current = tf.distribute.get_strategy()
    strategy = getattr(model, "distribute_strategy", None) or current
    if tf.distribute.has_strategy() and strategy is not current:
        checks.refuse(
            "model",
            "be used in the scope of the strategy it was built in, or in none",
            checks.Described(
                f"a model of a {type(strategy).__name__} in the scope of a "
                f"{type(current).__name__}"
            ),
        )
    return strategy


def has_accelerator():
    """Returns true if TensorFlow sees a GPU or a TPU."""
    return any(map(tf.config.list_logical_devices, ("GPU", "TPU")))


def several_workers(strategy):
    """Returns true if a strategy spans several processes of one program.

    Args:
        strategy: `tf.distribute.Strategy`.
    """
    # Without a cluster, the multi-worker strategy runs in one process.
    return (
        isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        and strategy.cluster_resolver is not None
        and bool(strategy.cluster_resolver.cluster_spec().as_dict())
    )


def is_chief(strategy):
    """Returns true if this process is the one that writes files.

    Args:
        strategy: `tf.distribute.Strategy`.
    """
    if not several_workers(strategy):
        return True
    resolver = strategy.cluster_resolver
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_id == 0


def on_any_worker(strategy, flag):
    """Returns true if a flag is true on at least one worker.

    All workers have to call it, and each waits for the others.

    Args:
        strategy: `tf.distribute.Strategy`.
        flag: bool. The flag of this worker.
    """
    if not several_workers(strategy):
        return flag
    values = strategy.experimental_distribute_values_from_function(
        lambda _: tf.constant(float(flag))
    )
    return bool(strategy.reduce("SUM", values, axis=None) > 0)


def wait_for_workers(strategy):
    """Waits until all workers have called this.

    Args:
        strategy: `tf.distribute.Strategy`.
    """
    on_any_worker(strategy, False)

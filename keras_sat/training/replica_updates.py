"""Updates that replicas make together, as if they were a single one."""

import tensorflow as tf

from keras_sat import checks
from keras_sat.optimizers import inner


def check_optimizer(optimizer, replicas):
    """Refuses what Keras's optimizers do wrong on several replicas.

    Args:
        optimizer: `keras.optimizers.Optimizer`, or `None`.
        replicas: int. The number of copies of the model that train together.

    Raises:
        ValueError: If the optimizer has an option that fails, or acts on each
            replica by itself.
    """
    if replicas == 1 or optimizer is None:
        return
    scaled = inner(optimizer)
    # Keras crashes with both of them under MirroredStrategy.
    fixes = {
        "gradient_accumulation_steps": "Use a larger batch.",
        "ema_overwrite_frequency": "Use plain `use_ema=True`.",
    }
    if scaled is not optimizer:
        # The inner optimizer clips the gradients of each replica by itself,
        # and they cannot be clipped as a whole while they are still scaled.
        fix = "A loss scale is not clipped rightly. Use bfloat16."
        fixes |= dict.fromkeys(
            ("clipnorm", "global_clipnorm", "clipvalue"), fix
        )
    for name, fix in fixes.items():
        value = getattr(scaled, name, None)
        if value is not None:
            checks.refuse(name, "be None on several replicas", value, fix)


def as_of_one_replica(gradients, optimizer, replicas):
    """Changes gradients so that the optimizer treats them as those of one.

    An optimizer clips the gradients of each replica before it sums them, and
    one that scales the loss looks for infinities on the first replica only.

    Args:
        gradients: list of tensors, those of this replica.
        optimizer: `keras.optimizers.Optimizer` that `check_optimizer` accepts.
        replicas: int. The number of replicas, two or more.

    Returns:
        List of tensors like `gradients`, which sum up over the replicas to the
        update that a single replica would make.
    """
    if inner(optimizer) is not optimizer:
        # 0 times a finite number is 0, and 0 times an infinity is NaN: their
        # sum over all replicas makes the gradients NaN on the first one, too,
        # which decides for all whether a step is finite.
        zero = tf.add_n(
            [tf.cast(tf.reduce_sum(0 * g), tf.float32) for g in gradients]
        )
        (zero,) = all_reduce("SUM", [zero])
        return [g + tf.cast(zero, g.dtype) for g in gradients]
    limits = optimizer.clipnorm, optimizer.global_clipnorm, optimizer.clipvalue
    if any(limit is not None for limit in limits):
        # Clipped once as a whole. Each of the equal parts, which the optimizer
        # clips again and sums, is within the limits.
        whole = all_reduce("SUM", gradients)
        return [g / replicas for g in optimizer._clip_gradients(whole)]
    return gradients


def average(variables):
    """Assigns to moving statistics their mean over the replicas.

    Args:
        variables: list of `keras.Variable`. Those of integers, like the seeds
            of dropout, stay as they are.
    """
    variables = [v for v in variables if v.dtype.startswith("float")]
    if not variables:
        return
    means = all_reduce("MEAN", [tf.convert_to_tensor(v) for v in variables])
    for variable, mean in zip(variables, means, strict=True):
        variable.assign(mean)


def all_reduce(operation, tensors):
    """Returns the sums or means of tensors over all replicas.

    Args:
        operation: str. `"SUM"` or `"MEAN"`.
        tensors: list of tensors, those of this replica.
    """
    # A variable's value is on no device of its own: several workers refuse it.
    tensors = [tf.identity(tensor) for tensor in tensors]
    context = tf.distribute.get_replica_context()
    return context.all_reduce(operation, tensors)

"""Weight decay of the kernels of a network, and of nothing else."""

import tensorflow as tf

from keras_sat.optimizers import inner


def kernels(model):
    """Returns the trainable variables that weight decay applies to.

    Args:
        model: `keras.Model`.

    Returns:
        List of the kernels of convolutions and dense layers.
    """
    return [v for v in model.trainable_variables if "kernel" in v.name]


def penalty(model):
    """Returns half of the sum of the squared kernels, a float32 scalar.

    Kernels of any precision count: each is squared and summed in float32, in
    which half precision does not overflow. Without kernels it is 0.

    Args:
        model: `keras.Model`.
    """
    squares = [
        tf.nn.l2_loss(tf.cast(kernel.value, tf.float32))
        for kernel in kernels(model)
    ]
    return tf.add_n([tf.zeros([]), *squares])


def loss(model, weight_decay, replicas):
    """Returns what weight decay adds to the training loss of one replica.

    Args:
        model: `keras.Model`.
        weight_decay: float >= 0. Factor of the penalty.
        replicas: int. The number of replicas. Their gradients are summed, so
            that each of them takes its share of the penalty.
    """
    if not weight_decay:
        return 0.0
    return weight_decay * penalty(model) / replicas


def decay_kernels_only(model):
    """Restricts the weight decay of an optimizer itself to kernels.

    Args:
        model: compiled `keras.Model`. Nothing happens if its optimizer, like
            SGD, has no decoupled weight decay.
    """
    optimizer = inner(model.optimizer)
    # One that has been built has been told already, and refuses changes.
    if optimizer.weight_decay and not optimizer.built:
        decayed = {id(kernel) for kernel in kernels(model)}
        optimizer.exclude_from_weight_decay(
            [v for v in model.trainable_variables if id(v) not in decayed]
        )

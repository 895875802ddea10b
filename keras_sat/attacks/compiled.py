"""Attacks on a model that is compiled once, for many batches."""

from keras_sat.attacks.network import compiled_network
from keras_sat.attacks.stages import attacked
from keras_sat.attacks.stages import new_stage
from keras_sat.predictions.labels import canonical
from keras_sat.preprocessing.value_range import to_float


def compiled(attack, model, jit_compile=False):
    """Returns an attack on a model that is compiled once.

    Keep it, and call it with many batches. Without XLA, the model is compiled
    once for batches of any size; with XLA, once for each size. An attack with
    several attempts ends with the first one that succeeds.

    Args:
        attack: `Attack`.
        model: as in `Attack.__call__`.
        jit_compile: bool or `"auto"`. Whether to use XLA; `"auto"` uses it
            where there is an accelerator. Defaults to `False`.

    Returns:
        Function `(images, labels, seed) -> adversarial images`, a float32
        tensor. The images have to be in `value_range`, or uint8; they are not
        checked.

    Raises:
        ValueError: If `jit_compile` is `True` and XLA cannot compile the
            model.
    """

    def run(images, labels, seed):
        # Asked for at each call, so that the model lives as long as this
        # function, and may be built anew.
        network = compiled_network(model, jit_compile)
        images = to_float(images, attack.value_range)
        num_classes = network(images).shape[-1]
        empty = new_stage(attack, network, num_classes, len(images), seed)
        return attacked(empty, images, canonical(labels))

    return run

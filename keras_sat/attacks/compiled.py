"""Attacks that are compiled once for a model."""

import weakref

import numpy as np
import tensorflow as tf

from keras_sat.distribution import xla
from keras_sat.predictions.labels import canonical
from keras_sat.preprocessing.value_range import to_float

# From each model to its compiled functions; a model is not kept alive by them.
_FUNCTIONS = weakref.WeakKeyDictionary()


def compiled(attack, model, jit_compile=False):
    """An attack on a model, compiled once for each shape of images.

    Keep it and call it with many batches. Without XLA, batches of any size
    share what is compiled; with XLA, each size is compiled anew
    (`on_survivors` sees to it that they are few).

    Args:
        attack: `Attack`.
        model: as in `Attack.__call__`.
        jit_compile: bool or `"auto"`. Whether to use XLA; `"auto"` uses it
            where there is an accelerator, and not for what it cannot compile.
            Defaults to `False`.

    Returns:
        Function `(images, labels, seed) -> adversarial images`. The images are
        expected in `value_range`, or uint8, and are not checked.

    Raises:
        ValueError: If `jit_compile` is `True` and XLA cannot compile the
            model.
    """
    return Compiled(attack, lambda: model, jit_compile)


class Compiled:
    """See `compiled`.

    Args:
        attack: `Attack`.
        model: function without arguments that gives the model.
        jit_compile: bool or `"auto"`. Whether to use XLA.
    """

    def __init__(self, attack, model, jit_compile):
        def run(images, labels, seed):
            return attack(model(), images, labels, seed)

        self.attack = attack
        self.jit_compile = xla.wanted(jit_compile, model())
        self._plain = tf.function(run, autograph=False)
        if self.jit_compile:
            self._fast = xla.Function(
                run, jit_compile, model(), otherwise=self._of_any_size
            )

    def __call__(self, images, labels, seed):
        images = to_float(images, self.attack.value_range)
        labels = canonical(labels)
        arguments = images, labels, tf.cast(seed, tf.int32)
        if self.jit_compile:
            return self._fast(*arguments)
        return self._of_any_size(*arguments)

    def _of_any_size(self, *arguments):
        images, labels, _ = arguments
        # The batch size is left open, so that survivors are not padded.
        shapes = (None, *images.shape[1:]), (None, *labels.shape[1:]), (2,)
        signature = [
            tf.TensorSpec(shape, argument.dtype)
            for shape, argument in zip(shapes, arguments, strict=True)
        ]
        return self._plain.get_concrete_function(*signature)(*arguments)


def on_survivors(run, images, labels, seed, alive):
    """Attacks some of the images of a batch; needs no fixed number of them.

    For a function compiled with XLA, the survivors are repeated to the next
    power of two, or to the whole batch, so that few shapes are compiled.

    Args:
        run: what `compiled` returned.
        images: float32 tensor `(batch, ...)`.
        labels: int tensor `(batch,)`, or `(batch, num_classes)`.
        seed: int tensor `(2,)`.
        alive: bool array `(batch,)`. The images to attack.

    Returns:
        Tensor like `images`: the adversarial ones, and the others as they are.
    """
    indices = np.flatnonzero(alive)
    count = len(indices)
    if not count:
        return images
    padded = indices
    if run.jit_compile:
        size = min(2 ** (count - 1).bit_length(), len(images))
        padded = np.resize(indices, size)
    found = run(tf.gather(images, padded), tf.gather(labels, padded), seed)
    return tf.tensor_scatter_nd_update(
        images, indices[:, np.newaxis], found[:count]
    )


def remembered(attack, model, jit_compile):
    """What `compiled` made for these arguments, now or at an earlier call."""
    functions = _FUNCTIONS.setdefault(model, {})
    key = attack, attack.is_lenient, jit_compile
    if key not in functions:
        functions[key] = Compiled(attack, weakref.ref(model), jit_compile)
    return functions[key]

"""Attacks compiled once for a model, for many batches."""

import weakref

import numpy as np
import tensorflow as tf

from keras_sat.distribution import xla
from keras_sat.predictions.labels import canonical
from keras_sat.preprocessing.value_range import to_float

# From each model to its compiled attacks. The dictionary is weak, so that it
# does not keep models alive.
_CACHE = weakref.WeakKeyDictionary()


def compiled(attack, model, jit_compile=False):
    """Returns an attack on a model, compiled once for each shape of images.

    Keep it, and call it with many batches. Without XLA, it is compiled once for
    batches of any size; with XLA, once for each size. `on_survivors` uses few
    sizes.

    Args:
        attack: `Attack`.
        model: as in `Attack.__call__`.
        jit_compile: bool or `"auto"`. Whether to use XLA; `"auto"` uses it
            where there is an accelerator, and not for what it cannot compile.
            Defaults to `False`.

    Returns:
        Function `(images, labels, seed) -> adversarial images`. The images
        have to be in `value_range`, or uint8; they are not checked.

    Raises:
        ValueError: If `jit_compile` is `True` and XLA cannot compile the
            model.
    """
    return CompiledAttack(attack, lambda: model, jit_compile)


class CompiledAttack:
    """An attack on a model, compiled once for each shape of images.

    Args:
        attack: `Attack`.
        model: function without arguments that returns the model; a weak
            reference, where the model must not be kept alive.
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
        """Returns adversarial images; see `compiled`."""
        images = to_float(images, self.attack.value_range)
        labels = canonical(labels)
        arguments = images, labels, tf.cast(seed, tf.int32)
        if self.jit_compile:
            return self._fast(*arguments)
        return self._of_any_size(*arguments)

    def _of_any_size(self, *arguments):
        """Attacks without XLA, compiled once for batches of any size."""
        images, labels, _ = arguments
        # With the batch size left open, any number of survivors can be
        # attacked without padding.
        shapes = (None, *images.shape[1:]), (None, *labels.shape[1:]), (2,)
        signature = [
            tf.TensorSpec(shape, argument.dtype)
            for shape, argument in zip(shapes, arguments, strict=True)
        ]
        return self._plain.get_concrete_function(*signature)(*arguments)


def on_survivors(run, images, labels, seed, alive):
    """Attacks those images of a batch that other attacks did not break.

    XLA compiles anew for each number of images. For it, the survivors are
    repeated up to the next power of two, or to the size of the batch.

    Args:
        run: function that `compiled` returned.
        images: float32 tensor `(batch, ...)`.
        labels: int tensor `(batch,)`, or `(batch, num_classes)`.
        seed: int tensor `(2,)`.
        alive: bool array `(batch,)`. The images to attack.

    Returns:
        Tensor like `images`: adversarial images where `alive` is true, the
        given ones elsewhere.
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


def cached(attack, model, jit_compile):
    """Returns a compiled attack, from a cache if it was asked for before.

    Args:
        attack, model, jit_compile: see `compiled`.
    """
    functions = _CACHE.setdefault(model, {})
    # A lenient attack is equal to the strict one, but another function.
    key = attack, attack.is_lenient, jit_compile
    if key not in functions:
        functions[key] = CompiledAttack(attack, weakref.ref(model), jit_compile)
    return functions[key]

"""Compiling with XLA, where it is asked for and where it can be done."""

import re
import threading
import weakref

import keras
import tensorflow as tf
from absl import logging
from tensorflow.python.framework import kernels

from keras_sat import checks
from keras_sat.distribution import strategies

FIX = (
    "Use jit_compile=False, or do without it: images can be augmented in the "
    "data set."
)
# What TensorFlow says of a graph that XLA cannot compile.
_REFUSALS = re.compile(
    "unsupported operations when trying to compile"
    "|must be a compile-time constant"
    "|XLA compilation requires"
    "|not supported by XLA"
    "|_XLA_(CPU|GPU)_JIT"
)

# The models that were warned of.
_WARNED = weakref.WeakSet()
_LOCK = threading.Lock()


def uses_xla(jit_compile):
    """Whether to compile with XLA; `"auto"` says yes on accelerators.

    Args:
        jit_compile: bool, or `"auto"`.
    """
    if jit_compile == "auto":
        return strategies.has_accelerator()
    if not isinstance(jit_compile, bool):
        checks.refuse("jit_compile", "be True, False or 'auto'", jit_compile)
    return jit_compile


def wanted(jit_compile, model):
    """Decides if what calls a model is to be compiled.

    Args:
        jit_compile: bool, or `"auto"`: on accelerators, except for a network
            with a layer that says that it cannot be compiled
            (`supports_jit=False`).
        model: `keras.Model`, or function.

    Raises:
        ValueError: If it is `True` and there is such a layer.
    """
    if not uses_xla(jit_compile):
        return False
    if not isinstance(model, keras.layers.Layer):
        return True
    for layer in model._flatten_layers():
        if not layer.supports_jit:
            give_up(jit_compile, model, _described(layer))
            return False
    return True


class CannotCompile(Exception):  # noqa: N818
    """Raised by the first run of what XLA finds out it cannot compile.

    Args:
        obstacle: str. What it cannot compile.
    """


class Function:
    """A function that XLA compiles, or that runs as it is where XLA cannot.

    Args:
        function: callable of tensors. It may not communicate.
        jit_compile: `True` or `"auto"`, as it was asked for.
        model: the model that it calls, which is warned of only once.
        otherwise: callable to use instead where XLA cannot compile. Defaults
            to `function`.

    Raises:
        ValueError: When called, if `jit_compile` is `True` and XLA cannot.
    """

    def __init__(self, function, jit_compile, model, otherwise=None):
        self._compiled = tf.function(
            function, jit_compile=True, autograph=False
        )
        # Who remembers this by its model does not keep the model alive.
        self._jit_compile, self._model = jit_compile, weakref.ref(model)
        self._otherwise = otherwise or function
        self._known = weakref.WeakSet()

    def __call__(self, *arguments):
        if self._compiled is None:
            return self._otherwise(*arguments)
        graph = self._compiled.get_concrete_function(*arguments).graph
        obstacle = None
        if graph not in self._known:
            obstacle = _obstacle(graph, self._model())
            self._known.add(graph)
        if obstacle is None:
            try:
                return self._compiled(*arguments)
            except tf.errors.OpError as error:
                obstacle = obstacle_in(error, self._model())
                if obstacle is None:
                    raise
        give_up(self._jit_compile, self._model(), obstacle)
        self._compiled = None
        return self._otherwise(*arguments)


def give_up(jit_compile, model, obstacle):
    """Goes on without XLA: warns, once for each model, or refuses to.

    Args:
        jit_compile: `True` or `"auto"`, as it was asked for.
        model: `keras.Model`, or function.
        obstacle: str. What XLA cannot compile.

    Raises:
        ValueError: If `jit_compile` is `True`.
    """
    if jit_compile is True:
        checks.refuse(
            "jit_compile",
            "be False or 'auto' for what XLA cannot compile",
            checks.Described(f"jit_compile=True and {obstacle}"),
            FIX,
        )
    with _LOCK:
        if model in _WARNED:
            return
        _WARNED.add(model)
    logging.warning(
        "XLA cannot compile %s: goes on without XLA, which is slower. %s",
        obstacle,
        FIX,
    )


def obstacle_in(error, model):
    """Names, in words, what XLA could not compile; `None` for other errors.

    Args:
        error: `tf.errors.OpError`, raised by a function that ran.
        model: `keras.Model`, or function.
    """
    if not _REFUSALS.search(error.message):
        return None
    names = re.findall(r"node `?([^\s`}]+)", error.message)
    for name in names:
        if layer := _layer(name, model):
            return _described(layer)
    return f"the operation {names[0]!r}" if names else error.message[:200]


def _obstacle(graph, model):
    """Names, in words, a part of a traced function without a kernel."""
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    device = f"XLA_{kind}_JIT"
    if not _has_kernel("AddV2", device):
        # TensorFlow has not told yet what XLA can do: it will when it runs.
        return None
    definition = graph.as_graph_def()
    nodes = [*definition.node]
    for part in definition.library.function:
        nodes += part.node_def
    known = {"Placeholder": True}
    for node in nodes:
        if node.op not in known:
            known[node.op] = _has_kernel(node.op, device)
        if not known[node.op]:
            layer = _layer(node.name, model)
            where = _described(layer) if layer else repr(node.name)
            return f"the operation {node.op!r} in {where}"
    return None


def _has_kernel(operation, device):
    found = kernels.get_registered_kernels_for_op(operation).kernel
    # A function is called by its name, and has none.
    return not found or any(kernel.device_type == device for kernel in found)


def _layer(name, model):
    """The innermost layer that an operation of this name belongs to."""
    if not isinstance(model, keras.layers.Layer):
        return None
    layers = {
        layer.name: layer for layer in model._flatten_layers(include_self=False)
    }
    for part in reversed(name.split("/")):
        found = layers.get(part) or layers.get(re.sub(r"_\d+$", "", part))
        if found is not None:
            return found
    return None


def _described(layer):
    return f"the layer {layer.name!r} ({type(layer).__name__})"

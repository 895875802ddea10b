"""Compilation with XLA: where it is wanted, and what to do without it."""

import re
import threading
import weakref

import keras
import tensorflow as tf
from absl import logging

# There is no public way to ask which operations have a kernel for XLA.
from tensorflow.python.framework import kernels

from keras_sat import checks
from keras_sat.distribution import strategies

FIX = (
    "Use jit_compile=False, or do without it: images can be augmented in the "
    "data set."
)
# The messages of TensorFlow for a graph that XLA cannot compile. There is no
# class of errors for them.
_REFUSALS = re.compile(
    "unsupported operations when trying to compile"
    "|must be a compile-time constant"
    "|XLA compilation requires"
    "|not supported by XLA"
    "|_XLA_(CPU|GPU)_JIT"
)

# The models of which a warning has said that XLA cannot compile them.
_WARNED = weakref.WeakSet()
_LOCK = threading.Lock()


def uses_xla(jit_compile):
    """Returns true if XLA is asked for; `"auto"` asks for it on accelerators.

    On a CPU, XLA is slower than the plain graph.

    Args:
        jit_compile: bool, or `"auto"`.

    Raises:
        ValueError: If `jit_compile` is something else.
    """
    if jit_compile == "auto":
        return strategies.has_accelerator()
    if not isinstance(jit_compile, bool):
        checks.refuse("jit_compile", "be True, False or 'auto'", jit_compile)
    return jit_compile


def wanted(jit_compile, model):
    """Returns true if functions that call a model are to be compiled with XLA.

    Args:
        jit_compile: bool, or `"auto"`, which means: on accelerators, unless a
            layer of the network declares that it cannot be compiled
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
    """Raised when XLA turns out to be unable to compile a function.

    Args:
        obstacle: str. What XLA cannot compile.
    """


class Function:
    """A function compiled with XLA, or run without it where XLA cannot.

    Args:
        function: callable of tensors. It must not communicate with other
            replicas.
        jit_compile: `True` or `"auto"`, as the user asked for it.
        model: the model that the function calls. There is one warning for each
            model.
        otherwise: callable to use instead if XLA cannot compile `function`.
            Defaults to `function`.

    Raises:
        ValueError: When called, if `jit_compile` is `True` and XLA cannot
            compile the function.
    """

    def __init__(self, function, jit_compile, model, otherwise=None):
        self._compiled = tf.function(
            function, jit_compile=True, autograph=False
        )
        # A weak reference, so that a cache of these functions, with models as
        # keys, does not keep the models alive.
        self._jit_compile, self._model = jit_compile, weakref.ref(model)
        self._otherwise = otherwise or function
        # The graphs that were searched for obstacles.
        self._known = weakref.WeakSet()

    def __call__(self, *arguments):
        """Returns what the function returns for tensors."""
        if self._compiled is None:
            return self._otherwise(*arguments)
        # Obstacles that the graph shows are named before XLA tries to compile
        # it. Others show only when it does.
        graph = self._compiled.get_concrete_function(*arguments).graph
        obstacle = None
        if graph not in self._known:
            obstacle = _obstacle(graph, self._model())
        if obstacle is None:
            self._known.add(graph)
            try:
                return self._compiled(*arguments)
            except tf.errors.OpError as error:
                obstacle = obstacle_in(error, self._model())
                if obstacle is None:
                    raise
        give_up(self._jit_compile, self._model(), obstacle)
        self._compiled = None
        return self._otherwise(*arguments)

    def graph(self, *arguments):
        """Returns the graph that XLA compiles for such arguments."""
        if self._compiled is None:
            return self._otherwise.graph(*arguments)
        return self._compiled.get_concrete_function(*arguments).graph


def give_up(jit_compile, model, obstacle):
    """Warns, once for each model, that XLA is not used, or refuses that.

    Args:
        jit_compile: `True` or `"auto"`, as the user asked for it.
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
    """Returns in words what XLA could not compile; `None` for other errors.

    Args:
        error: `tf.errors.OpError` that a function raised when it was run.
        model: `keras.Model`, or function.

    Returns:
        str or `None`.
    """
    if not _REFUSALS.search(error.message):
        return None
    names = re.findall(r"node `?([^\s`}]+)", error.message)
    for name in names:
        if layer := _layer(name, model):
            return _described(layer)
    return f"the operation {names[0]!r}" if names else error.message[:200]


def _obstacle(graph, model):
    """Returns in words an operation that XLA has no kernel for, or `None`.

    Args:
        graph: graph of a concrete function.
        model: `keras.Model`, or function, that it calls.
    """
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    device = f"XLA_{kind}_JIT"
    if not _has_kernel("AddV2", device):
        # TensorFlow registers the kernels of XLA when it is first used.
        # Obstacles are found then, when the function is run.
        return None
    # Inputs have no kernel, and need none.
    known = {"Placeholder": True}
    for node in nodes(graph):
        if node.op not in known:
            known[node.op] = _has_kernel(node.op, device)
        if not known[node.op]:
            layer = _layer(node.name, model)
            where = _described(layer) if layer else repr(node.name)
            return f"the operation {node.op!r} in {where}"
    return None


def nodes(graph):
    """Returns the nodes of a graph and of all functions that it calls.

    Args:
        graph: graph of a concrete function.

    Returns:
        List of `NodeDef`.
    """
    definition = graph.as_graph_def()
    functions = definition.library.function
    return [*definition.node, *(n for f in functions for n in f.node_def)]


def _has_kernel(operation, device):
    """Returns true if an operation can run on a device."""
    found = kernels.get_registered_kernels_for_op(operation).kernel
    # In a call of a function, the operation is the function's name. It has no
    # kernel; its own nodes are looked at.
    return not found or any(kernel.device_type == device for kernel in found)


def _layer(name, model):
    """Returns the innermost layer that an operation belongs to, or `None`.

    Args:
        name: str. The name of the operation.
        model: `keras.Model`, or function.
    """
    if not isinstance(model, keras.layers.Layer):
        return None
    layers = {
        layer.name: layer for layer in model._flatten_layers(include_self=False)
    }
    # TensorFlow adds numbers to names that occur again, like `conv_1`.
    for part in reversed(name.split("/")):
        found = layers.get(part) or layers.get(re.sub(r"_\d+$", "", part))
        if found is not None:
            return found
    return None


def _described(layer):
    """Returns the name and the class of a layer, for messages."""
    return f"the layer {layer.name!r} ({type(layer).__name__})"

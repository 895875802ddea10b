"""Batch normalization by the statistics of the batch, without updates."""

import contextlib
import threading

import keras

_LOCK = threading.Lock()


def normalizations(network):
    """Returns the layers of a network whose moving statistics are updated.

    Args:
        network: `keras.layers.Layer`, which may contain others.

    Returns:
        List of `keras.layers.BatchNormalization`, with those of nested models
        and of wrappers, and without frozen ones.
    """
    return [
        layer
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
        and layer.trainable
    ]


@contextlib.contextmanager
def of_the_batch(network):
    """Lets a network normalize by each batch itself, in this thread.

    The network then computes as in training mode, with three differences:

    - No moving statistics are updated.
    - All other layers stay in the mode in which they are called, for example
      dropout in inference mode.
    - Replicas do not communicate, even if layers are `synchronized`. So it
      works in loops and under XLA.

    Gradients flow through the statistics.

    Args:
        network: `keras.layers.Layer`. Call it within the context, with
            `training=False`.

    Example:

    ```python
    with of_the_batch(network):
        logits = network(images, training=False)
    ```
    """
    # Replicas of `MirroredStrategy` are threads that share the layers. Each has
    # to choose for itself how they normalize.
    layers, thread = normalizations(network), threading.get_ident()
    with _LOCK:
        for layer in layers:
            if not isinstance(layer.call, _Call):
                vars(layer)["call"] = _Call(layer)
            layer.call.threads.append(thread)
    try:
        yield
    finally:
        with _LOCK:
            for layer in layers:
                layer.call.release(thread)


# From the values of `SATModel(attack_statistics=...)` to functions from a
# network to the context in which the attack calls it.
STATISTICS = {
    "moving": lambda network: contextlib.nullcontext(),
    "batch": of_the_batch,
}


class _Call:
    """A substitute for the method `call` of a batch normalization.

    It normalizes by the batch in the threads that asked for it, and works as
    usual in all others.

    Args:
        layer: `keras.layers.BatchNormalization`.
    """

    def __init__(self, layer):
        self.layer = layer
        self.usual = layer.call
        # A `call` that somebody else gave this one layer, to be put back.
        self.before = vars(layer).get("call")
        self.threads = []

    def __call__(self, inputs, training=None, **kwargs):
        """Returns what the layer returns, by the batch or as usual."""
        if threading.get_ident() not in self.threads:
            return self.usual(inputs, training=training, **kwargs)
        # In this scope the layer assigns its new moving statistics to copies,
        # which are dropped with the scope.
        with keras.StatelessScope(initialize_variables=False):
            call = self.before or _alone(self.layer).call
            return call(inputs, training=True, **kwargs)

    def release(self, thread):
        """Removes a thread; the last one gives the layer its method back."""
        self.threads.remove(thread)
        if self.threads:
            return
        del vars(self.layer)["call"]
        if self.before is not None:
            vars(self.layer)["call"] = self.before


def _alone(layer):
    """Returns a copy of a layer, on its variables, that is not synchronized."""
    view = object.__new__(type(layer))
    vars(view).update(vars(layer), synchronized=False)
    del vars(view)["call"]
    return view

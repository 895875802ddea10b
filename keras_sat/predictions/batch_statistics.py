"""Batch normalization by the statistics of the batch, with nothing updated."""

import contextlib
import threading

import keras

_LOCK = threading.Lock()


def normalizations(network):
    """Gives the layers of a network whose statistics move while it trains.

    Args:
        network: `keras.layers.Layer`, which may contain others.

    Returns:
        List of `keras.layers.BatchNormalization`, those of nested models and
        of wrappers included, and those that are frozen left out.
    """
    return [
        layer
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
        and layer.trainable
    ]


@contextlib.contextmanager
def of_the_batch(network):
    """Normalizes by the mean and variance of each batch, in this thread.

    This is what training mode computes, but for three things: no moving
    statistics are updated; all other layers stay in the mode in which they are
    called, dropout in inference mode; and no replica asks another one, not even
    where layers are `synchronized`, so that it works in loops and under XLA.
    Gradients flow through the statistics.

    Args:
        network: `keras.layers.Layer`. Called within the context, with
            `training=False`.

    Example:

    ```python
    with of_the_batch(network):
        logits = network(images, training=False)
    ```
    """
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


# From the value of `SATModel(attack_statistics=...)` to what a network is
# called in.
STATISTICS = {
    "moving": lambda network: contextlib.nullcontext(),
    "batch": of_the_batch,
}


class _Call:
    """The `call` of a layer: by the batch in the threads that ask for that.

    It stands in for the method of the one layer, while it is wanted.
    """

    def __init__(self, layer):
        self.layer = layer
        self.usual = layer.call
        self.before = vars(layer).get("call")
        self.threads = []

    def __call__(self, inputs, training=None, **kwargs):
        if threading.get_ident() not in self.threads:
            return self.usual(inputs, training=training, **kwargs)
        # What the layer assigns goes to the scope, and is forgotten with it.
        with keras.StatelessScope(initialize_variables=False):
            call = self.before or _alone(self.layer).call
            return call(inputs, training=True, **kwargs)

    def release(self, thread):
        """Gives the layer back its own method, if no thread is left."""
        self.threads.remove(thread)
        if self.threads:
            return
        del vars(self.layer)["call"]
        if self.before is not None:
            vars(self.layer)["call"] = self.before


def _alone(layer):
    """A view of a layer, on the same variables, that asks no other replica."""
    view = object.__new__(type(layer))
    vars(view).update(vars(layer), synchronized=False)
    del vars(view)["call"]
    return view

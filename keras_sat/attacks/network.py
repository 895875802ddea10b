"""A classifier as attacks see it: logits, and gradients of losses."""

import threading
import weakref

import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks.randomness import is_deterministic
from keras_sat.distribution import xla
from keras_sat.predictions.inference import inference
from keras_sat.predictions.inference import input_gradient

# From each model to its compiled networks. The dictionary is weak, so that it
# does not keep models alive.
_CACHE = weakref.WeakKeyDictionary()
_CACHE_LOCK = threading.Lock()


class Network:
    """A classifier of which attacks ask logits and gradients, and no more.

    Args:
        predict: function from images to logits, as `inference` returns it.
    """

    def __init__(self, predict):
        self._predict = predict
        # Known once a gradient was asked for.
        self.is_differentiable = True

    def __call__(self, images):
        """Returns the logits `(batch, num_classes)` of images."""
        return self._predict(images)

    def value_and_gradient(self, loss, images, *labels):
        """Returns a loss, the logits, and the gradient for each image.

        Args:
            loss: function `(*labels, logits) -> (batch,)`.
            images: float32 tensor `(batch, ...)`.
            *labels: tensors `(batch, ...)`, what the loss takes before the
                logits.

        Returns:
            Loss `(batch,)`, logits `(batch, num_classes)`, and a tensor like
            `images`. Without a gradient path it is 0, and `is_differentiable`
            is false.
        """

        def value(x):
            logits = self._predict(x)
            return loss(*labels, logits), logits

        (number, logits), gradient = input_gradient(
            value, images, self._note_missing_gradient
        )
        return number, logits, gradient

    def is_deterministic(self, images):
        """Returns true if the same images are known to get the same logits.

        Args:
            images: float32 tensor `(batch, ...)`, of which only the shape
                counts.
        """
        del images
        return False

    def _note_missing_gradient(self):
        self.is_differentiable = False


class CompiledNetwork(Network):
    """The functions of a classifier, each compiled once for all attacks.

    They are the logits, and the value and gradient of each loss. Attacks call
    them in their own graphs, in which they stay functions: a graph that is made
    for another attack, or for more steps, does not compile the network again.

    Args:
        model: `keras.Model`, or function, from images to logits.
        jit_compile: bool or `"auto"`. Whether to use XLA; `"auto"` uses it
            where there is an accelerator, and not for what it cannot compile.
    """

    def __init__(self, model, jit_compile="auto"):
        reference = _reference_to(model)
        super().__init__(lambda images: inference(reference())(images))
        self.model = reference
        self.jit_compile = jit_compile
        self.uses_xla = xla.wanted(jit_compile, model)
        # How often the network was traced, and hence compiled.
        self.compilations = 0
        # The attacks that were made on the network; see `pieces_of`.
        self.pieces = {}
        # Held by whoever makes a graph: TensorFlow cannot make two at once
        # that take gradients of the same function.
        self.tracing = threading.RLock()
        self._functions = {}
        # Known once the logits were asked for.
        self._is_deterministic = None

    def __call__(self, images):
        """Returns the logits `(batch, num_classes)` of images."""
        self.is_deterministic(images)
        return self._logits(images)

    def value_and_gradient(self, loss, images, *labels):
        """See `Network.value_and_gradient`."""
        gradient = super().value_and_gradient

        def function(images, *labels):
            return gradient(loss, images, *labels)

        return self._function(loss, function)(images, *labels)

    def is_deterministic(self, images):
        """See `Network.is_deterministic`; the graph of the network tells."""
        if self._is_deterministic is None:
            graph = self._logits.graph(images)
            self._is_deterministic = is_deterministic(graph)
        return self._is_deterministic

    @property
    def has_state(self):
        """True if a call is known to change what the next one gives."""
        return self._is_deterministic is False

    def without_xla(self, obstacle):
        """Goes on without XLA, with a warning, or refuses to.

        Args:
            obstacle: str. What XLA cannot compile.

        Raises:
            ValueError: If `jit_compile` is `True`.
        """
        with self.tracing:
            # Another thread may have met the same obstacle.
            if self.uses_xla:
                xla.give_up(self.jit_compile, self.model(), obstacle)
                self.uses_xla = False
                self._functions.clear()
                self.pieces.clear()

    @property
    def _logits(self):
        """The compiled form of the function from images to logits."""
        return self._function("logits", super().__call__)

    def _function(self, key, function):
        """Returns the compiled form of a function, made at its first use."""
        # A function that replicas share would hold the variables of the one
        # that traced it.
        key = key, _replica()
        with self.tracing:
            if key not in self._functions:
                self._functions[key] = self._compiled(function)
            return self._functions[key]

    def _compiled(self, function):
        def counted(*arguments):
            self.compilations += 1
            return function(*arguments)

        compiled = OfAnySize(counted)
        if not self.uses_xla:
            return compiled
        return xla.Function(counted, self.jit_compile, self.model(), compiled)


class OfAnySize:
    """A function of batches, compiled once for all numbers of images.

    Args:
        function: callable of tensors with the batch in front.
    """

    def __init__(self, function):
        self._function = tf.function(function, autograph=False)

    def __call__(self, *arguments):
        """Returns what the function returns for tensors."""
        return self._concrete(arguments)(*arguments)

    def graph(self, *arguments):
        """Returns the graph that such arguments are given to."""
        return self._concrete(arguments).graph

    def _concrete(self, arguments):
        specs = [
            tf.TensorSpec((None, *argument.shape[1:]), argument.dtype)
            for argument in map(tf.convert_to_tensor, arguments)
        ]
        return self._function.get_concrete_function(*specs)


def _reference_to(model):
    """Returns a function that returns a model, and does not keep it alive."""
    # The graphs of its functions hold the variables of the model. To hold the
    # model itself as well would keep it alive in the cache for ever.
    try:
        return weakref.ref(model)
    except TypeError:
        return lambda: model


def _replica():
    """Returns the number of the replica that this is traced for.

    `None` stands for what is called beside the replicas of a strategy.
    """
    context = tf.distribute.get_replica_context()
    if context is None:
        return None
    return int(tf.get_static_value(context.replica_id_in_sync_group))


def compiled_network(model, jit_compile="auto"):
    """Returns the compiled functions of a model, the same ones at each call.

    They are made anew if the model was built anew: if it has got other
    variables, or computes in another precision. New values of its variables
    need no new functions. Of a plain function, it is taken for granted that it
    computes the same as before.

    Args:
        model, jit_compile: see `CompiledNetwork`.

    Returns:
        `CompiledNetwork`.

    Example:

    ```python
    adversarial = attack(model, images, labels)
    keras_sat.attacks.compiled_network(model).compilations
    ```
    """
    checks.attackable("model", model)
    key = jit_compile, tf.distribute.get_strategy(), *_structure(model)
    with _CACHE_LOCK:
        try:
            networks = _CACHE.setdefault(model, {})
        except TypeError:
            # It has no hash, or there are no weak references to it.
            return CompiledNetwork(model, jit_compile)
        if key not in networks:
            # What belongs to an earlier state of the model is not asked for
            # again.
            networks.clear()
            networks[key] = CompiledNetwork(model, jit_compile)
        return networks[key]


def _structure(model):
    """Returns what the graphs of a model depend on, besides its class."""
    variables = getattr(model, "variables", ())
    layers = getattr(model, "_flatten_layers", tuple)()
    return (
        tuple(id(variable) for variable in variables),
        tuple(layer.dtype_policy.name for layer in layers),
    )

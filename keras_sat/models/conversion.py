"""Other activations for a model that exists already."""

import collections

import keras
from absl import logging

from keras_sat import activations
from keras_sat import checks
from keras_sat.checks import graphs
from keras_sat.models import activation_places
from keras_sat.models.with_activations import WithActivations
from keras_sat.models.with_activations import six_sigmoids
from keras_sat.weights.sharing import replace_weights

REPLACE = {
    "non_smooth": {*activation_places.NON_SMOOTH},
    "all": {
        *activation_places.NON_SMOOTH,
        *activation_places.SMOOTH,
        "relu_with_gradient_of",
    },
}


def convert_activations(
    model,
    activation="silu",
    *,
    share_weights=False,
    replace="non_smooth",
    smooth_gates=False,
    remove_softmax=False,
    momentum=None,
    print_fn=logging.info,
):
    """Builds a model like `model` with other activations.

    Each site gets an activation of its own, as a layer if it has weights or
    options. Everything else stays: names, weights, dtypes, gates (sigmoid,
    tanh, softmax, the hard sigmoids of MobileNetV3).

    Args:
        model: built `keras.Model`, functional or sequential, also with nested
            models and with layers that contain activations.
        activation: name, class, layer or function. See
            `keras_sat.activations.get`. Defaults to `"silu"`.
        share_weights: bool. Whether both models use the same variables, rather
            than copies. `SATModel` takes such a twin as its `attack_model`.
            Defaults to `False`.
        replace: str. `"non_smooth"`: ReLU, ReLU6, leaky and parametric ReLU,
            hard swish and the like; or `"all"`: smooth ones, too. Defaults to
            `"non_smooth"`.
        smooth_gates: bool. Whether hard sigmoids become sigmoids. Defaults to
            `False`.
        remove_softmax: bool. Whether to leave out a softmax, log-softmax or
            sigmoid at the end, so that the model returns logits. Defaults to
            `False`.
        momentum: float in `[0, 1]`. The momentum of each batch normalization.
            Attacks run with the moving statistics, which lag behind the
            weights during training: with Keras's default of `0.99` for
            hundreds of steps, with `0.9` for tens. Defaults to that of
            `model`.
        print_fn: function of str, like `print`. Is told what is replaced and
            where, a line for each site, and what is left. Defaults to
            `absl.logging.info`.

    Returns:
        A functional or sequential `keras.Model`, not compiled.

    Raises:
        TypeError: If `model` is not a Keras model, or a `SATModel`.
        ValueError: If `model` is subclassed or not built, or if it contains an
            activation that cannot be replaced.

    Example:

    ```python
    network = keras.applications.ResNet50(classifier_activation=None)
    network = keras_sat.convert_activations(network, "silu", print_fn=print)
    model = keras_sat.SATModel(network, value_range=(0, 255))
    ```
    """
    checks.classifiers.graph("model", model)
    names = checks.lookup("replace", replace, REPLACE)
    activations.get(activation)
    if smooth_gates:
        names = names | {"hard_sigmoid"}
    if momentum is not None:
        checks.probability("momentum", momentum)
    _, removed = graphs.ending(model) if remove_softmax else (None, [])
    conversion = _Conversion(activation, names, momentum, removed)
    try:
        converted = conversion.model(model)
    except _RebuildError as error:
        checks.refuse(
            "model",
            "consist of layers that their configuration can rebuild",
            checks.Described(str(error)),
            "Pass another activation where they are made.",
        )
    conversion.give_weights(share_weights)
    _report(conversion, model, converted, print_fn)
    return converted


def _report(conversion, model, converted, print_fn):
    """Tells what was replaced, and refuses to leave out a site."""
    for path, old, new in conversion.replaced:
        print_fn(f"{path}: {old} -> {new}")
    names = conversion.names
    if (
        activation_places.name_of(activations.get(conversion.activation))
        not in names
    ):
        missed = [
            path
            for path, name in activation_places.activation_sites(converted)
            if name in names
        ]
        if missed:
            checks.refuse(
                "model",
                "have no activations that are out of reach",
                checks.Described(f"{len(missed)}: {', '.join(missed[:3])}"),
                "Build these layers with another activation.",
            )
    left = collections.Counter(
        name
        for _, name in activation_places.activation_sites(model)
        if name not in names
    )
    kept = ", ".join(f"{count} {name}" for name, count in left.items())
    count = len(conversion.replaced)
    print_fn(f"{count} activations replaced, others: {kept or 'none'}")
    if conversion.momentum is not None:
        changed = sum(map(len, map(_normalizations, converted.layers)))
        print_fn(f"momentum {conversion.momentum} in {changed} normalizations")


class _Conversion:
    """A copy of a graph of layers, with other activations.

    Args:
        activation: see `convert_activations`.
        names: set of str. The activations to replace.
        momentum: float or `None`; see `convert_activations`.
        removed: list of layers and operations. Those at the end, to be left
            out, or to lose their activation.
    """

    def __init__(self, activation, names, momentum, removed):
        self.activation = activation
        self.names = names
        self.momentum = momentum
        self.removed = {id(part) for part in removed}
        self.wrapped = set()
        self.clones = {}
        self.after = {}
        self.position = {}
        self.whole = set()
        self.replaced = []

    def model(self, model, path=""):
        """A copy of a functional or sequential model."""
        if isinstance(model, keras.Sequential):
            image = model.inputs[0]
            layers = [keras.Input(batch_shape=image.shape, dtype=image.dtype)]
            for layer in model.layers:
                clone = self.clone(layer, path, {})
                layers += [clone, *self.after.get(id(clone), [])]
            copy = keras.Sequential(layers, name=model.name)
        else:
            patterns = activation_places.hard_patterns(model)
            copy = keras.models.clone_model(
                model,
                clone_function=lambda part: self.clone(part, path, patterns),
                call_function=self.call,
            )
        copy.dtype_policy = activation_places.policy(model)
        return copy

    def call(self, clone, *args, **kwargs):
        """Runs a copy of a layer, and the activation that follows it."""
        if id(clone) in self.position:
            # Other activations may take a mask; hard swishes a second tensor.
            tensors = keras.tree.flatten((args, kwargs))
            return clone(tensors[self.position[id(clone)]])
        outputs = clone(*args, **kwargs)
        for extra in self.after.get(id(clone), []):
            outputs = extra(outputs)
        return outputs

    def clone(self, part, path, patterns):
        """The copy of a layer: always the same for one that is shared."""
        if id(part) not in self.clones:
            where = f"{path}{part.name}"
            if graphs.is_graph(part):
                clone = self._nested(part, where)
            else:
                clone = self._clone(part, where, patterns)
            self.clones[id(part)] = part, clone
        return self.clones[id(part)][1]

    def _nested(self, model, where):
        try:
            return self.model(model, f"{where}/")
        except _RebuildError:
            if self._changes(model):
                raise
        # Nothing in it changes, and it may know how to rebuild itself.
        self.whole.add(id(model))
        return _copy(model)

    def _changes(self, model):
        """Tells if there is something to change in a nested model."""
        return bool(
            any(
                name in self.names
                for _, name in activation_places.activation_sites(model)
            )
            or (self.momentum is not None and _normalizations(model))
            or any(
                id(part) in self.removed
                for layer in model._flatten_layers()
                for part in (layer, *getattr(layer, "operations", ()))
            )
        )

    def _clone(self, part, where, patterns):
        name = patterns.get(id(part), activation_places.name_of(part))
        if id(part) in self.removed:
            if isinstance(part, graphs.PLAIN):
                return _copy(part, {**_config(part), "activation": "linear"})
            clone = keras.layers.Identity(
                name=part.name, dtype=activation_places.policy(part)
            )
            self.position[id(clone)] = 0
            return clone
        if name in self.names:
            return self._alone(part, where, name)
        if not isinstance(part, keras.layers.Layer) or name:
            return _copy(part)
        if self.momentum is not None and _normalizations(part):
            if isinstance(part, keras.layers.BatchNormalization):
                changed = {"momentum": self.momentum}
                return _copy(part, {**_config(part), **changed})
            return self._composite(part, where)
        inside = [
            activation_places.name_of(getattr(owner, attribute))
            for owner, attribute in activation_places.inner_sites(part)
        ]
        if isinstance(part, graphs.PLAIN) and inside:
            return self._plain(part, where, inside[0])
        if self.names.isdisjoint(inside):
            return _copy(part)
        return self._composite(part, where)

    def _alone(self, part, where, name):
        """An activation in the place of another one."""
        if name == "hard_sigmoid":
            self.replaced.append((where, name, "sigmoid"))
            whole = type(part).__name__ in ("ReLU", "ReLU6", "Relu6")
            function = six_sigmoids if whole else keras.activations.sigmoid
            clone = keras.layers.Activation(
                function, name=part.name, dtype=activation_places.policy(part)
            )
        else:
            self._note(where, name)
            clone = activations.layer(
                self.activation, part.name, activation_places.policy(part)
            )
        _, position = activation_places.hard_swish(part)
        self.position[id(clone)] = position or 0
        return clone

    def _plain(self, part, where, name):
        """A convolution or dense layer, and its activation."""
        config = _config(part)
        if name == "hard_sigmoid" and name in self.names:
            config["activation"] = "sigmoid"
            self.replaced.append((where, name, "sigmoid"))
        elif name in self.names:
            self._note(where, name)
            new = activations.get(self.activation)
            if not isinstance(new, keras.layers.Layer):
                return _copy(part, {**config, "activation": new})
            clone = _copy(part, {**config, "activation": "linear"})
            own = f"{part.name}_activation"
            self.after[id(clone)] = [
                activations.layer(new, own, activation_places.policy(part))
            ]
            return clone
        return _copy(part, config)

    def _composite(self, part, where):
        """A layer that contains activations."""
        clone = WithActivations(
            _copy(part),
            self.activation,
            sorted(self.names),
            self.momentum,
            name=part.name,
        )
        self.wrapped.add(id(clone))
        for owner, attribute in activation_places.inner_sites(part):
            old = activation_places.name_of(getattr(owner, attribute))
            if old in self.names:
                inside = activation_places.inner_path(part, owner, attribute)
                self._note(f"{where}{inside}", old)
        return clone

    def _note(self, where, old):
        new = activations.get(self.activation)
        name = activation_places.name_of(new) or getattr(
            new, "__name__", repr(new)
        )
        self.replaced.append((where, old, name))

    def give_weights(self, share):
        """Copies the weights, or makes both models use the same ones."""
        for source, clone in self.clones.values():
            if not getattr(source, "weights", None):
                continue
            if graphs.is_graph(source) and id(source) not in self.whole:
                continue
            if activation_places.name_of(source) in self.names:
                continue
            own = clone.weights
            if id(clone) in self.wrapped:
                own = clone.original_weights
            pairs = list(zip(own, source.weights, strict=True))
            if share:
                replace_weights(clone, pairs)
                continue
            for variable, value in pairs:
                variable.assign(value)
            if isinstance(clone, keras.layers.Normalization):
                clone.finalize_state()


class _RebuildError(Exception):
    pass


def _copy(part, config=None):
    """A layer, operation or model like `part`, with new weights."""
    if isinstance(part, keras.layers.Lambda):
        # Its configuration holds no more than the code of the function.
        return keras.layers.Lambda(
            part.function,
            part._output_shape,
            part.mask,
            part.arguments,
            name=part.name,
        )
    try:
        return type(part).from_config(config or _config(part))
    except (
        AttributeError,
        NotImplementedError,
        OSError,
        TypeError,
        ValueError,
    ) as error:
        # Some layers tell more or less than they take; Keras knows better.
        given = getattr(part, "_auto_config", None)
        if config or given is None:
            kind = f"{part.name} ({type(part).__name__})"
            reason = " ".join(str(error).strip().split("\n\n")[0].split())
            raise _RebuildError(f"{kind}: {reason.rstrip('.')}") from error
        return type(part)(**{**given.config, "name": part.name})


def _config(part):
    """The configuration of a layer, with its activation as it is.

    A function need not be one that Keras finds again by its name.
    """
    config = part.get_config()
    activation = getattr(part, "activation", None)
    own = isinstance(part, (*graphs.PLAIN, keras.layers.Activation))
    if own and not isinstance(activation, keras.layers.Layer):
        config["activation"] = activation
    return config


def _normalizations(layer):
    """The batch normalizations that a layer is or contains."""
    return [
        part
        for part in layer._flatten_layers()
        if isinstance(part, keras.layers.BatchNormalization)
    ]

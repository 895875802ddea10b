"""Copies of graphs of layers, with other activations in them."""

import dataclasses

import keras

from keras_sat import activations
from keras_sat.checks import graphs
from keras_sat.models import activation_places
from keras_sat.models.activation_places import name_of
from keras_sat.models.activation_places import policy
from keras_sat.models.copying import RebuildError
from keras_sat.models.copying import copy_part
from keras_sat.models.copying import normalizations
from keras_sat.models.with_activations import WithActivations
from keras_sat.models.with_activations import six_sigmoids
from keras_sat.weights.sharing import replace_weights


@dataclasses.dataclass(frozen=True)
class Copy:
    """A layer, operation or nested model, and what stands in its place.

    Args:
        source: the original.
        layer: the copy.
        following: tuple of layers that are called after the copy.
        input_position: int. Which one of the inputs of `source` the copy takes;
            all of them if `None`.
        takes_weights: bool. Whether the copy gets the weights of `source`. Not
            if it is another activation, and not if it is a nested model whose
            layers are copied one by one.
        wraps: bool. Whether the copy is a `WithActivations` around a layer
            like `source`.
    """

    source: object
    layer: object
    following: tuple = ()
    input_position: int | None = None
    takes_weights: bool = True
    wraps: bool = False


class ActivationReplacer:
    """Copies graphs of layers, and replaces activations in them.

    Args:
        activation: see `convert_activations`.
        names: set of str. The activations to replace.
        momentum: float or `None`; see `convert_activations`.
        removed: list of layers and operations at the end of the model, to be
            left out, or to lose their activation.

    Attributes:
        replaced: list of `(path, old name, new name)`, which grows while models
            are copied.
    """

    def __init__(self, activation, names, momentum, removed):
        self.activation = activation
        self.names = names
        self.momentum = momentum
        self.replaced = []
        self._removed = {id(part) for part in removed}
        # By the ids of sources and of copies: a layer that is called several
        # times has one copy.
        self._of_source = {}
        self._of_layer = {}

    def copy_model(self, model, path=""):
        """Copies a functional or sequential model.

        Args:
            model: `keras.Model`.
            path: str. What the paths of its layers begin with.

        Returns:
            `keras.Model` with new weights; see `give_weights`.

        Raises:
            RebuildError: If a layer cannot be copied.
        """
        if isinstance(model, keras.Sequential):
            image = model.inputs[0]
            layers = [keras.Input(batch_shape=image.shape, dtype=image.dtype)]
            for layer in model.layers:
                copy = self._copy_once(layer, path, {})
                layers += [copy.layer, *copy.following]
            result = keras.Sequential(layers, name=model.name)
        else:
            # Keras would copy nested models without a call of the function for
            # the layers in them, and their ReLUs would stay: `_copy_nested`.
            patterns = activation_places.hard_patterns(model)
            result = keras.models.clone_model(
                model,
                clone_function=lambda part: (
                    self._copy_once(part, path, patterns).layer
                ),
                call_function=self._call,
            )
        result.dtype_policy = policy(model)
        return result

    def give_weights(self, share):
        """Copies the weights, or makes both models use the same ones.

        Args:
            share: bool. Whether to share them.
        """
        for copy in self._of_source.values():
            source, layer = copy.source, copy.layer
            if not copy.takes_weights or not getattr(source, "weights", None):
                continue
            own = layer.original_weights if copy.wraps else layer.weights
            pairs = list(zip(own, source.weights, strict=True))
            if share:
                replace_weights(layer, pairs)
                continue
            for variable, value in pairs:
                variable.assign(value)
            if isinstance(layer, keras.layers.Normalization):
                # It computes constants from its weights.
                layer.finalize_state()

    def _call(self, layer, *args, **kwargs):
        """Calls a copy, and the activations that follow it."""
        copy = self._of_layer.get(id(layer))
        if copy is None:
            return layer(*args, **kwargs)
        if copy.input_position is not None:
            # The activation that was there may have taken a mask, and a hard
            # swish takes its gate as a second tensor.
            tensors = keras.tree.flatten((args, kwargs))
            return layer(tensors[copy.input_position])
        outputs = layer(*args, **kwargs)
        for activation in copy.following:
            outputs = activation(outputs)
        return outputs

    def _copy_once(self, part, path, patterns):
        """Returns the copy of a part, the same one for a shared layer."""
        if id(part) not in self._of_source:
            where = f"{path}{part.name}"
            if graphs.is_graph(part):
                copy = self._copy_nested(part, where)
            else:
                copy = self._copy_part(part, where, patterns)
            self._of_source[id(part)] = copy
            self._of_layer[id(copy.layer)] = copy
        return self._of_source[id(part)]

    def _copy_nested(self, model, where):
        """Copies a nested model layer by layer, or else as a whole."""
        try:
            copied = self.copy_model(model, f"{where}/")
            return Copy(model, copied, takes_weights=False)
        except RebuildError:
            if self._would_change(model):
                raise
        # It may know how to rebuild itself, although a layer of it does not.
        return Copy(model, copy_part(model))

    def _would_change(self, model):
        """Tells if there is something to change in a nested model."""
        return bool(
            any(
                name in self.names
                for _, name in activation_places.activation_sites(model)
            )
            or (self.momentum is not None and normalizations(model))
            or any(
                id(part) in self._removed
                for layer in model._flatten_layers()
                for part in (layer, *getattr(layer, "operations", ()))
            )
        )

    def _copy_part(self, part, where, patterns):
        """Copies a layer or operation, changed where it has to be.

        Args:
            part: layer or operation.
            where: str. Its path.
            patterns: dict. See `activation_places.hard_patterns`.
        """
        name = patterns.get(id(part), name_of(part))
        if id(part) in self._removed:
            return self._copy_without_activation(part)
        if name in self.names:
            return self._other_activation(part, where, name)
        if name or not isinstance(part, keras.layers.Layer):
            return Copy(part, copy_part(part))
        if self.momentum is not None and normalizations(part):
            if isinstance(part, keras.layers.BatchNormalization):
                changes = {"momentum": self.momentum}
                return Copy(part, copy_part(part, changes))
            return self._wrapped(part, where)
        inside = [
            name_of(getattr(owner, attribute))
            for owner, attribute in activation_places.inner_sites(part)
        ]
        if self.names.isdisjoint(inside):
            return Copy(part, copy_part(part))
        if isinstance(part, graphs.ACTIVATION_LAST):
            return self._copy_with_activation_after(part, where, inside[0])
        # The activation is somewhere inside, where no argument reaches it.
        return self._wrapped(part, where)

    def _copy_without_activation(self, part):
        """Copies a part at the end of the model, without the softmax in it."""
        if isinstance(part, graphs.ACTIVATION_LAST):
            return Copy(part, copy_part(part, {"activation": "linear"}))
        identity = keras.layers.Identity(name=part.name, dtype=policy(part))
        return Copy(part, identity, input_position=0)

    def _other_activation(self, part, where, name):
        """Makes an activation for the place of the activation `part`."""
        if name == "hard_sigmoid":
            self.replaced.append((where, name, "sigmoid"))
            # In `relu6(x + 3) / 6`, the ReLU6 is replaced, and the rest stays.
            is_part = type(part).__name__ in ("ReLU", "ReLU6", "Relu6")
            function = six_sigmoids if is_part else keras.activations.sigmoid
            layer = keras.layers.Activation(
                function, name=part.name, dtype=policy(part)
            )
        else:
            self._note(where, name)
            layer = activations.layer(self.activation, part.name, policy(part))
        _, position = activation_places.hard_swish(part)
        return Copy(
            part, layer, input_position=position or 0, takes_weights=False
        )

    def _copy_with_activation_after(self, part, where, name):
        """Copies a convolution or dense layer that has an activation."""
        if name == "hard_sigmoid":
            self.replaced.append((where, name, "sigmoid"))
            return Copy(part, copy_part(part, {"activation": "sigmoid"}))
        self._note(where, name)
        new = activations.get(self.activation)
        if not isinstance(new, keras.layers.Layer):
            return Copy(part, copy_part(part, {"activation": new}))
        # Keras would not build a layer with weights that is an `activation=`.
        following = activations.layer(
            new, f"{part.name}_activation", policy(part)
        )
        copied = copy_part(part, {"activation": "linear"})
        return Copy(part, copied, following=(following,))

    def _wrapped(self, part, where):
        """Wraps a copy of a layer that contains activations."""
        layer = WithActivations(
            copy_part(part),
            self.activation,
            sorted(self.names),
            self.momentum,
            name=part.name,
        )
        for owner, attribute in activation_places.inner_sites(part):
            old = name_of(getattr(owner, attribute))
            if old in self.names:
                inside = activation_places.inner_path(part, owner, attribute)
                self._note(f"{where}{inside}", old)
        return Copy(part, layer, wraps=True)

    def _note(self, where, old):
        """Records a replaced activation, for the report."""
        new = activations.get(self.activation)
        name = name_of(new) or getattr(new, "__name__", repr(new))
        self.replaced.append((where, old, name))

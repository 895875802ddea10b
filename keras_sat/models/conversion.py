"""Conversion of an existing model to other activations."""

import collections

from absl import logging

from keras_sat import activations
from keras_sat import checks
from keras_sat import programs
from keras_sat.checks import endings
from keras_sat.models import activation_places
from keras_sat.models.copying import RebuildError
from keras_sat.models.copying import normalizations
from keras_sat.models.replacing import ActivationReplacer

# From the values of the argument `replace` to the names of activations.
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
    print_fn=None,
):
    """Builds a model like `model` with other activations.

    Each place gets an activation of its own, as a layer if it has weights or
    options. Everything else stays the same: names, weights, dtypes, and gates
    (sigmoid, tanh, softmax, the hard sigmoids of MobileNetV3).

    Args:
        model: built `keras.Model`, functional or sequential, also with nested
            models and with layers that contain activations.
        activation: name, class, layer or function. See
            `keras_sat.activations.get`. Defaults to `"silu"`.
        share_weights: bool. Whether both models use the same variables, rather
            than copies. `SATModel` takes such a twin as its `attack_model`.
            Defaults to `False`.
        replace: str. `"non_smooth"`: ReLU, ReLU6, leaky and parametric ReLU,
            hard swish and the like; or `"all"`: smooth ones as well. Defaults
            to `"non_smooth"`.
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
        print_fn: function of str, like `print`. It is called with a line for
            each activation that is replaced, and with a summary. By default,
            the summary is printed, and the lines go to the log of absl.

    Returns:
        A functional or sequential `keras.Model`, not compiled.

    Raises:
        TypeError: If `model` is not a Keras model, or a `SATModel`.
        ValueError: If `model` is subclassed or not built, or if it contains an
            activation that cannot be replaced.

    Example:

    ```python
    network = keras.applications.MobileNetV3Large(classifier_activation=None)
    network = keras_sat.convert_activations(network, "silu", print_fn=print)
    model = keras_sat.SATModel(network, value_range=(0, 255))
    ```
    """
    checks.layer_graph("model", model)
    names = checks.lookup("replace", replace, REPLACE)
    activations.get(activation)
    if smooth_gates:
        names = names | {"hard_sigmoid"}
    if momentum is not None:
        checks.probability("momentum", momentum)
    _, removed = endings.ending(model) if remove_softmax else (None, [])
    replacer = ActivationReplacer(activation, names, momentum, removed)
    try:
        converted = replacer.copy_model(model)
    except RebuildError as error:
        checks.refuse(
            "model",
            "consist of layers that their configuration can rebuild",
            checks.Described(str(error)),
            "Pass another activation where they are made.",
        )
    replacer.give_weights(share_weights)
    _report_replaced(replacer.replaced, print_fn or logging.info)
    _refuse_missed(converted, names, activation)
    _report_summary(model, converted, replacer, print_fn or programs.say)
    return converted


def _report_replaced(replaced, print_fn):
    """Prints a line for each activation that was replaced."""
    for path, old, new in replaced:
        print_fn(f"{path}: {old} -> {new}")


def _refuse_missed(converted, names, activation):
    """Refuses a model in which an activation could not be reached.

    Args:
        converted: `keras.Model`. The result.
        names: set of str. The activations that were to be replaced.
        activation: see `convert_activations`. If it is itself one of those,
            nothing can be found out.
    """
    if activation_places.name_of(activations.get(activation)) in names:
        return
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


def _report_summary(model, converted, replacer, print_fn):
    """Prints how many activations were replaced, and which ones are left."""
    left = collections.Counter(
        name
        for _, name in activation_places.activation_sites(model)
        if name not in replacer.names
    )
    kept = ", ".join(f"{count} {name}" for name, count in left.items())
    count = len(replacer.replaced)
    print_fn(f"{count} activations replaced, others: {kept or 'none'}")
    if replacer.momentum is not None:
        changed = sum(map(len, map(normalizations, converted.layers)))
        print_fn(f"momentum {replacer.momentum} in {changed} normalizations")

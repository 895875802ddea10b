"""The recipe that the flags of `keras-sat train` describe."""

import dataclasses
import json
import re

from keras_sat_command import pictures
from keras_sat_command import problems

# From kinds of data to their recipes, and to other values of these for sets of
# a few thousand pictures: moving averages over so few steps would still hold
# the first weights.
FEW = {"ema": 0.0, "epochs": 60, "batch_size": 64}
RECIPES = {
    "folder": ("imagenet_modern", FEW | {"image_size": 128}),
    "digits": ("cifar10", FEW | {"image_size": 16}),
    "idx": ("cifar10", FEW | {"image_size": 28}),
    "tfds": ("imagenet_resnet", {}),
}
# Fields of recipes that are counted in epochs, or are fractions of a radius.
IN_EPOCHS = (
    "warmup_epochs",
    "epsilon_warmup_epochs",
    "step_size_warmup_epochs",
)
IN_RADII = ("step_size", "eval_step_size")


def recipe_of(kind, data, name, given, assignments):
    """Returns the recipe that flags describe.

    Args:
        kind: str. See `pictures.kind_of`.
        data: str. The name of the data.
        name: str. The name of the recipe, or `"auto"`.
        given: dict from fields to values of flags.
        assignments: list of str like `steps=3`.
    """
    import keras_sat

    usual, changes = RECIPES[kind]
    if data in pictures.SMALL:
        usual = "cifar10"
    if name != "auto":
        usual, changes = name, {}
        if kind != "tfds":
            # Digits and photographs are not of the size of CIFAR or ImageNet.
            changes = {"image_size": RECIPES[kind][1]["image_size"]}
    assigned = _assigned(assignments)
    changes = changes | given | assigned
    recipe = keras_sat.recipes.get(usual)
    if _family(changes.get("network", recipe.network)) != _family(
        recipe.network
    ):
        # Builders of another family have other options.
        changes = {"network_options": {}} | changes
    return _replaced(recipe, changes, assigned)


def changed(recipe, given, assignments):
    """Returns a recipe with what flags change in it.

    Args:
        recipe: `Recipe`.
        given, assignments: see `recipe_of`.
    """
    assigned = _assigned(assignments)
    return _replaced(recipe, given | assigned, assigned)


def _replaced(recipe, changes, assigned):
    """Returns a recipe with other values, and with those that follow them.

    Args:
        recipe: `Recipe`.
        changes: dict from fields to values.
        assigned: names of those that `--set` has changed.
    """
    with problems.arguments(**{name: f"--set {name}" for name in assigned}):
        return recipe.replace(**_scaled(recipe, changes) | changes)


def _family(network):
    """Returns the letters that the name of a network begins with."""
    return re.match("[a-z_]*", network)[0]


def _assigned(assignments):
    """Returns a dict of the values of `--set`."""
    import keras_sat

    known = [f.name for f in dataclasses.fields(keras_sat.recipes.Recipe)]
    values = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or name not in known:
            problems.wrong(
                "--set",
                f"must be FIELD=VALUE with one of {', '.join(known)}. "
                f"Received: {assignment}",
            )
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


def _scaled(recipe, changes):
    """Returns fields that change with the number of epochs and the radius."""
    fields = {}
    if "epochs" in changes:
        factor = changes["epochs"] / recipe.epochs
        fields = {name: getattr(recipe, name) * factor for name in IN_EPOCHS}
        fields["decay_epochs"] = [e * factor for e in recipe.decay_epochs]
    if "epsilon" in changes:
        factor = changes["epsilon"] / recipe.epsilon
        fields |= {name: getattr(recipe, name) * factor for name in IN_RADII}
    return fields

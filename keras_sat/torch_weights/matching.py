"""Which tensor of a file belongs to which weight of a model."""

import collections
import dataclasses
import itertools

import keras

from keras_sat.models import standardization
from keras_sat.torch_weights import families
from keras_sat.torch_weights import flattening
from keras_sat.torch_weights import layouts

# A prefix that fewer of the tensors share belongs to a part of a network.
SHARED = 0.5
# Layers whose weights are statistics of pixels.
PIXELS = (keras.layers.Normalization, standardization.Standardization)
IN_ORDER = "the order of the layers"
# How many words a prefix may have: hostile names consist of very many.
LONGEST_PREFIX = 8


@dataclasses.dataclass(kw_only=True)
class Match:
    """The tensors of a dictionary, and the weights of a model, in pairs.

    Args:
        family: str. The family whose names were compared, or `IN_ORDER`.
        pairs: list of triples of a `keras.Variable`, an array of its shape,
            and the name of the tensor in the file.
        used: dict from the names of tensors, without their prefix, to those in
            the file.
        missing: list of str. What the model needs and the file lacks.
        left: list of str. The names of tensors that the model does not need.
        unfit: list of str. What is wrong with others, like their shapes.
    """

    family: str
    pairs: list = dataclasses.field(default_factory=list)
    used: dict = dataclasses.field(default_factory=dict)
    missing: list = dataclasses.field(default_factory=list)
    left: list = dataclasses.field(default_factory=list)
    unfit: list = dataclasses.field(default_factory=list)

    def problems(self):
        """Returns how many tensors and weights have no counterpart."""
        return len(self.missing) + len(self.left) + len(self.unfit)

    def pair(self, site, name, array):
        """Adds a weight and the tensor that is meant for it.

        Args:
            site: `Site`.
            name: str. The name of the tensor in the file.
            array: array, in the layout of PyTorch.
        """
        fitting = site.laid_out(array)
        if array.dtype.kind in "iub":
            self.unfit.append(f"{name} has no floating-point numbers")
        elif fitting is None:
            self.unfit.append(
                f"{name} has the shape {array.shape}, which does not fit "
                f"{site.layer.name}/{site.weight.name} "
                f"{tuple(site.weight.shape)}"
            )
        else:
            self.pairs.append((site.weight, fitting, name))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """A weight of a model, which a tensor has to fill.

    Args:
        layer: `keras.layers.Layer` with the weight.
        weight: `keras.Variable`.
        image: see `layouts.laid_out`.
    """

    layer: object
    weight: object
    image: tuple

    def part(self):
        """Returns the name that PyTorch gives to such a weight."""
        return families.PARTS.get(self.weight.name, self.weight.name)

    def laid_out(self, array):
        """Returns an array like the weight, or `None` if it does not fit."""
        # A layer with other activations inside, of `convert_activations`.
        layer = getattr(self.layer, "layer", self.layer)
        return layouts.laid_out(array, layer, self.weight, self.image)


def sites(model):
    """Lists the weights that a file has to fill, in the order of the graph.

    Args:
        model: `keras.Model`.

    Returns:
        list of `Site`. The statistics of pixels are not among them: see
        `pixels`.
    """
    images = flattening.images(model)
    return [
        Site(layer=layer, weight=weight, image=images.get(id(layer)))
        for layer in flattening.layers(model)
        if not isinstance(layer, PIXELS)
        for weight in layer.weights
    ]


def best(model, arrays):
    """Finds the assignment with the fewest problems.

    Args:
        model: `keras.Model`.
        arrays: dict from names to arrays: the weights of one network.

    Returns:
        `Match`. Of a network of this package, the names are compared with those
        of each family that has them; of any other, layers and modules are
        compared by their kinds and shapes, in their order.
    """
    wanted = sites(model)
    names = {site.layer.name for site in wanted}
    known = [
        family
        for family in families.FAMILIES
        if all(families.module_of(family, name) for name in names)
    ]
    if not known:
        return _in_order(wanted, arrays)
    matches = [
        _by_names(family, wanted, arrays, prefix)
        for family in known
        for prefix in prefixes(arrays, len(wanted))
    ]
    return min(matches, key=Match.problems)


def prefixes(names, wanted):
    """Lists what the names of all weights may begin with.

    Args:
        names: iterable of str.
        wanted: int. The number of weights of the model.

    Returns:
        list of str, such as `["", "module.", "module.model."]`.
    """
    counts = collections.Counter([""])
    for name in names:
        words = name.split(".", LONGEST_PREFIX)[:-1]
        counts.update(itertools.accumulate(f"{word}." for word in words))
        counts[""] += 1
    enough = SHARED * min(wanted, len(names))
    return [prefix for prefix, count in counts.items() if count >= enough]


def nearest_family(arrays):
    """Returns the family whose names most of the tensors have, or `None`.

    Args:
        arrays: dict from names to arrays.
    """
    shares = [
        (
            sum(
                _place(family, name.removeprefix(prefix)) is not None
                for name in arrays
            ),
            family,
        )
        for family in families.FAMILIES
        for prefix in prefixes(arrays, len(arrays))
    ]
    share, family = max(shares)
    return family if share > SHARED * len(arrays) else None


def _place(family, name):
    """Returns the names of the layer and the part of a tensor, or `None`."""
    module, _, part = name.rpartition(".")
    layer = families.layer_of(family, module)
    return layer and (layer, part)


def _by_names(family, wanted, arrays, prefix):
    """Compares the names of a family with those in a file; see `Match`."""
    match = Match(family=family)
    places = {(site.layer.name, site.part()) for site in wanted}
    found = {}
    for name in arrays:
        plain = name.removeprefix(prefix)
        place = _place(family, plain) if name.startswith(prefix) else None
        if place in places and place not in found:
            found[place] = name
            match.used[plain] = name
        else:
            match.left.append(name)
    for site in wanted:
        place = site.layer.name, site.part()
        if place in found:
            match.pair(site, found[place], arrays[found[place]])
        else:
            module = families.module_of(family, site.layer.name)
            match.missing.append(f"{prefix}{module}.{site.part()}")
    return match


def _in_order(wanted, arrays):
    """Compares layers and modules by their kinds and shapes, in their order."""
    match = Match(family=IN_ORDER)
    modules = collections.defaultdict(dict)
    for name in arrays:
        module, _, part = name.rpartition(".")
        modules[module][part] = name
    waiting = list(modules.values())
    layers = collections.defaultdict(dict)
    for site in wanted:
        layers[id(site.layer)][site.part()] = site
    for parts in layers.values():
        fitting = [m for m in waiting if _fits(parts, m, arrays)]
        if not fitting:
            match.missing += [
                f"{site.layer.name}/{site.weight.name} "
                f"{tuple(site.weight.shape)}"
                for site in parts.values()
            ]
            continue
        waiting.remove(fitting[0])
        for part, site in parts.items():
            name = fitting[0][part]
            match.used[name] = name
            match.pair(site, name, arrays[name])
    match.left = [name for module in waiting for name in module.values()]
    return match


def _fits(parts, module, arrays):
    """Tells if a module has the parts of a layer, in its shapes."""
    return set(parts) == set(module) and all(
        site.laid_out(arrays[module[part]]) is not None
        for part, site in parts.items()
    )

"""Gives a model the inputs and outputs of the network inside of it."""


def _of_network(name):
    """Returns a property that is the one of `self.model` of this name.

    A network without it raises the error that Keras raises for it.

    Args:
        name: str.
    """
    return property(
        lambda self: getattr(self.model, name),
        doc=f"The `{name}` of the network; see `keras.Model`.",
    )


class NetworkAttributes:
    """Mixin of a model that contains a network, and is called like it.

    What a functional or sequential network tells of its inputs and outputs, the
    model around it tells, too. A subclassed network knows neither.
    """

    input = _of_network("input")
    inputs = _of_network("inputs")
    input_shape = _of_network("input_shape")
    output = _of_network("output")
    outputs = _of_network("outputs")
    output_shape = _of_network("output_shape")
    output_names = _of_network("output_names")

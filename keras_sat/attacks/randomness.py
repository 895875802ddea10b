"""Recognizes networks that give the same logits for the same images."""

from tensorflow.python.framework import op_def_registry

from keras_sat.distribution import xla

# Operations that TensorFlow calls stateful, because they must not be left out
# or done at another time, but that give the same result at every call.
_STEADY = {
    "Assert",
    "CheckNumericsV2",
    "HashTableV2",
    "LookupTableFindV2",
    "PartitionedCall",
    "Placeholder",
    "PrintV2",
    "ReadVariableOp",
    "ResourceGather",
    "ResourceGatherNd",
    "StatefulPartitionedCall",
    "VarHandleOp",
    "VarIsInitializedOp",
    "XlaLaunch",
}
# Without a state of their own, these depend on their inputs alone; with one,
# on how often they were called.
_CONTROL_FLOW = {"Case", "For", "If", "While", "StatefulIf", "StatefulWhile"}


def is_deterministic(graph):
    """Returns true if a graph gives the same result for the same arguments.

    It does unless it holds an operation with a state that a call may change: a
    random number generator, an assignment to a variable, a Python function. One
    that is not known is taken for such an operation.

    Args:
        graph: graph of a concrete function.
    """
    return not any(map(_is_unsteady, {node.op for node in xla.nodes(graph)}))


def _is_unsteady(operation):
    """Returns true if an operation may give another result at the next call."""
    if operation in _STEADY | _CONTROL_FLOW:
        return False
    definition = op_def_registry.get(operation)
    # Calls of functions have no definition: their own nodes are looked at.
    return definition is not None and definition.is_stateful

"""Curves of accuracy: over the radius of the ball, over the steps of PGD."""

import numpy as np

from keras_sat import checks
from keras_sat.attacks import PGD
from keras_sat.attacks import requested_attacks
from keras_sat.evaluation.evaluated_model import EvaluatedModel
from keras_sat.evaluation.journal import Journal
from keras_sat.evaluation.progress import Progress
from keras_sat.evaluation.reading import read
from keras_sat.evaluation.robustness import BATCH_SIZE
from keras_sat.evaluation.robustness import evaluate_robustness
from keras_sat.evaluation.two_arrays import takes_two_arrays
from keras_sat.evaluation.worst_case import WorstCaseSearch


@takes_two_arrays
def robustness_curve(
    model,
    dataset,
    epsilons,
    attacks="standard",
    norm=None,
    *,
    value_range=None,
    seed=0,
    jit_compile="auto",
    batch_size=BATCH_SIZE,
    verbose=1,
):
    """Returns the robust accuracy for each of several radii.

    An image that is broken within a ball is broken within every larger one, so
    each radius is tried only on the images that withstood all smaller ones.

    Args:
        model: see `evaluate_robustness`.
        dataset: see `evaluate_robustness`; it is read once.
        epsilons: sequence of floats >= 0, at most 1 for `norm="linf"`. Radii,
            as fractions of the width of `value_range`.
        attacks: see `evaluate_robustness`.
        norm: see `evaluate_robustness`.
        value_range, seed, jit_compile, batch_size, verbose: see
            `evaluate_robustness`.

    Returns:
        Dict from each radius, ascending, to the accuracy in `[0, 1]`, which
        `plots.robustness_curves` takes.

    Raises:
        TypeError: If an argument is of a kind that cannot be used.
        ValueError: If an argument is out of range, or an attack unknown.

    Example:

    ```python
    curve = keras_sat.robustness_curve(model, test_ds, [0, 2 / 255, 4 / 255])
    keras_sat.plots.robustness_curves({"silu": curve}, path="curve.png")
    ```
    """
    evaluated = EvaluatedModel(model, value_range, jit_compile)
    checks.integer("seed", seed, least=0)
    requests = [
        requested_attacks(attacks, epsilon, norm, evaluated.value_range)
        for epsilon in _numbers("epsilons", epsilons, float)
    ]
    progress = Progress(verbose)
    with progress.explained_interruption("Nothing is saved."):
        progress.say("tracing the model on the first batch")
        data = read(dataset, batch_size, evaluated)
        # The attacks of the smallest radius come first, those of the largest
        # last.
        tried = [request.tried(data.num_classes) for request in requests]
        search = WorstCaseSearch(
            evaluated,
            [attack for attacks in tried for attack in attacks],
            seed,
            Journal(None, {}),
            num_classes=data.num_classes,
            num_batches=data.size,
        )
        cases = search.worst_cases(data.batches, progress.update)
        outcomes = np.concatenate([case.outcomes for case in cases])
    # An image withstands a radius if the attack that breaks it, if any, comes
    # after those of that radius.
    ends = np.cumsum([len(attacks) for attacks in tried])
    return {
        request.epsilon: float(np.mean(outcomes >= end))
        for request, end in zip(requests, ends, strict=True)
    }


@takes_two_arrays
def convergence_curve(
    model,
    dataset,
    steps=(1, 2, 5, 10, 20, 50, 100),
    epsilon=4 / 255,
    norm="linf",
    **options,
):
    """Returns the accuracy under PGD for several numbers of steps.

    The curve should become flat: an attack that still finds more with more
    steps has not converged.

    Args:
        model: see `evaluate_robustness`.
        dataset: see `evaluate_robustness`; it is read once for each number of
            steps.
        steps: sequence of int >= 1. Numbers of steps. A step is
            `2.5 * epsilon / steps` long.
        epsilon: float > 0. Radius of the ball. Defaults to `4 / 255`.
        norm: str. `"linf"` or `"l2"`. Defaults to `"linf"`.
        **options: `value_range`, `seed`, `jit_compile`, `batch_size` and
            `verbose` of `evaluate_robustness`.

    Returns:
        Dict from each number of steps, ascending, to the accuracy in `[0, 1]`
        under that attack alone.

    Raises:
        TypeError: If an argument is of a kind that cannot be used.
        ValueError: If an argument is out of range.

    Example:

    ```python
    curve = keras_sat.convergence_curve(model, test_ds, steps=(1, 10, 100))
    ```
    """
    attack = PGD(epsilon=epsilon, norm=norm)
    curve = {}
    for count in _numbers("steps", steps, int):
        attack = attack.replace(steps=count, step_size=2.5 * epsilon / count)
        report = evaluate_robustness(
            model, dataset, attack, diagnose=False, **options
        )
        curve[count] = report.robust_accuracy
    return curve


def _numbers(name, values, kind):
    """Returns a checked sequence of numbers, sorted, each one once.

    Args:
        name: str. The argument, for errors.
        values: what was given.
        kind: `int` or `float`.
    """
    if isinstance(values, str) or not np.iterable(values):
        checks.refuse(name, "be a sequence of numbers", values, error=TypeError)
    values = list(values)
    if not values:
        checks.refuse(name, "not be empty", values)
    check = checks.integer if kind is int else checks.real
    for value in values:
        check(name, value)
    return sorted(set(map(kind, values)))

"""Accuracy under attack by what the attack may do."""

import numpy as np

from keras_sat import checks
from keras_sat.attacks import PGD
from keras_sat.attacks import ensemble
from keras_sat.evaluation.journal import Journal
from keras_sat.evaluation.progress import Progress
from keras_sat.evaluation.robustness import BATCH_SIZE
from keras_sat.evaluation.robustness import evaluate_robustness
from keras_sat.evaluation.worst_case import Evaluator


def robustness_curve(
    model, dataset, epsilons, attacks="standard", norm=None, **options
):
    """Robust accuracy by the size of the perturbations.

    An image that withstands a ball withstands every smaller one, so a radius
    is tried on the images that withstood all the smaller ones.

    Args:
        model: see `evaluate_robustness`.
        dataset: see `evaluate_robustness`; it is read once.
        epsilons: sequence of floats >= 0, at most 1 for `norm="linf"`.
        attacks: see `evaluate_robustness`.
        norm: see `evaluate_robustness`.
        **options: `value_range`, `seed`, `jit_compile`, `batch_size` and
            `verbose` of `evaluate_robustness`.

    Returns:
        Dict from each radius, ascending, to the accuracy in `[0, 1]`, which
        `plots.robustness_curves` takes.

    Example:

    ```python
    curve = keras_sat.robustness_curve(model, test_ds, [0, 2 / 255, 4 / 255])
    keras_sat.plots.robustness_curves({"silu": curve}, path="curve.png")
    ```
    """
    batch_size = options.pop("batch_size", BATCH_SIZE)
    verbose = options.pop("verbose", 1)
    evaluator = Evaluator(model, **options)
    chosen = {
        epsilon: ensemble(attacks, epsilon, norm, evaluator.value_range)
        for epsilon in _numbers("epsilons", epsilons, float)
    }
    stream, size, logits = evaluator.read(dataset, batch_size)
    stages, ends = [], {}
    for epsilon, tried in chosen.items():
        if epsilon:
            stages += tried.sequence(logits.shape[1])
        ends[epsilon] = len(stages)
    progress = Progress(size, len(stages), verbose)
    outcomes = [
        batch.outcomes
        for batch in evaluator.worst_cases(
            stream, stages, Journal(None, {}), lambda _: True, progress.update
        )
    ]
    progress.close()
    outcomes = np.concatenate(outcomes)
    return {e: float(np.mean(outcomes >= end)) for e, end in ends.items()}


def convergence_curve(
    model,
    dataset,
    steps=(1, 2, 5, 10, 20, 50, 100),
    epsilon=4 / 255,
    norm="linf",
    **options,
):
    """Accuracy under PGD by its number of steps; it should flatten.

    Args:
        model: see `evaluate_robustness`.
        dataset: see `evaluate_robustness`; it is read for each number.
        steps: sequence of int >= 1.
        epsilon: float > 0. Radius of the ball. Defaults to `4 / 255`.
        norm: str. `"linf"` or `"l2"`. Defaults to `"linf"`.
        **options: `value_range`, `seed`, `jit_compile`, `batch_size` and
            `verbose` of `evaluate_robustness`.

    Returns:
        Dict from each number of steps to the accuracy in `[0, 1]` under that
        attack alone. A step is `2.5 * epsilon / steps` long.
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
    """A sequence of numbers of a kind, sorted, each once."""
    if isinstance(values, str) or not np.iterable(values):
        checks.refuse(name, "be a sequence of numbers", values, error=TypeError)
    values = list(values)
    if not values:
        checks.refuse(name, "not be empty", values)
    check = checks.integer if kind is int else checks.real
    for value in values:
        check(name, value)
    return sorted(set(map(kind, values)))

"""How robust a classifier is: the worst case over several attacks."""

import dataclasses
import importlib
import itertools

import keras
import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat import diagnostics
from keras_sat.attacks import PGD
from keras_sat.attacks import Attack
from keras_sat.attacks import AutoAttack
from keras_sat.attacks import compiled
from keras_sat.attacks import norms
from keras_sat.attacks.auto_attack import NAMED
from keras_sat.attacks.auto_attack import VERSIONS
from keras_sat.evaluator import Evaluator
from keras_sat.journal import Journal
from keras_sat.progress import Keeper
from keras_sat.progress import Progress
from keras_sat.report import RobustnessReport

EPSILON, NORM = 4 / 255, "linf"
# How many images the diagnostics and the pictures are made of.
DIAGNOSED, SHOWN = 64, 8
BATCH_SIZE = 128


def evaluate_robustness(
    model,
    dataset,
    attacks="standard",
    epsilon=None,
    norm=None,
    *,
    value_range=None,
    seed=0,
    state_path=None,
    adversarial_dir=None,
    diagnose=True,
    jit_compile="auto",
    batch_size=BATCH_SIZE,
    verbose=1,
):
    """Accuracy of a classifier under attack, with reasons to doubt it.

    Every image is attacked by each attack in turn until one succeeds: what
    counts is the worst case for each image. The default is AutoAttack in its
    standard version, the number that the field reports.

    Under a `tf.distribute` strategy each replica attacks batches of its own;
    the report is that of one device.

    Args:
        model: `keras.Model`, or function, from images in `value_range` to
            logits `(batch, num_classes)`. See also `load_classifier`.
        dataset: `tf.data.Dataset`, `keras.utils.PyDataset` or iterable of
            `(images, labels)` batches, or a pair of arrays. Images are float
            in `value_range`, or uint8; labels int `(batch,)`, or
            probabilities `(batch, num_classes)`.
        attacks: str, `Attack`, `AutoAttack`, or sequence of names and
            `Attack`s. `"standard"` and `"rand"` are the versions of
            `AutoAttack`, which lists the other names.
        epsilon: float >= 0. Radius of the ball, as a fraction of the width of
            `value_range`; with 0 the robust accuracy is the clean one. It
            replaces that of the attacks; the step of a `PGD` changes with it.
            Defaults to that of the attacks, or `4 / 255`.
        norm: str. `"linf"` or `"l2"`. Defaults to that of the attacks, or
            `"linf"`.
        value_range: pair of floats. What black and white are in the images
            that `model` takes. Defaults to that of a `SATModel`, or
            `(0.0, 1.0)`.
        seed: int. The same seed gives the same report. Defaults to `0`.
        state_path: str or path-like. A file that remembers each attack on
            each batch. Started again with the same arguments, a killed
            evaluation continues from it. The dataset must give the same
            batches again. Defaults to none.
        adversarial_dir: str or path-like. Where to keep, for each batch, the
            arrays `images`, `adversarial`, `labels` and `outcomes` (see
            `RobustnessReport`) in a `.npz` file. Defaults to nowhere.
        diagnose: bool. Whether to look for signs that the number is wrong,
            on the first 64 images. Defaults to `True`.
        jit_compile: bool or `"auto"`. Whether to use XLA; `"auto"` uses it
            where there is an accelerator. Defaults to `"auto"`.
        batch_size: int. For arrays. Defaults to `128`.
        verbose: int. 0 for no progress bar. Defaults to `1`.

    Returns:
        `RobustnessReport`.

    Raises:
        TypeError: If an argument is of a kind that cannot be used.
        ValueError: If an attack is unknown, if images or labels are not as
            described, or if `state_path` cannot be written or belongs to
            another evaluation.

    Example:

    ```python
    report = keras_sat.evaluate_robustness(model, test_ds, epsilon=8 / 255)
    print(report)
    report.save("report")
    ```

    Reference:
    - [Croce and Hein, 2020](https://arxiv.org/abs/2003.01690)
    """
    evaluator = Evaluator(model, value_range, seed, jit_compile)
    ensemble = _ensemble(attacks, epsilon, norm, evaluator.value_range)
    epsilon = ensemble.epsilon if epsilon is None else epsilon
    keeper = Keeper(adversarial_dir)
    stream, size, logits = evaluator.read(dataset, batch_size)
    attacks = ensemble.for_classes(logits.shape[1]).attacks
    first, stream = _peek(stream)
    header = evaluator.describe(attacks, epsilon, first, logits)
    journal = Journal(state_path, header)
    tried = attacks if epsilon else ()
    progress = Progress(size, len(tried), verbose)
    finished, sample = [], []
    for batch in evaluator.worst_cases(
        stream, tried, journal, keeper.has, progress.update
    ):
        keeper.write(batch)
        if sum(len(b.labels) for b in sample) < DIAGNOSED:
            sample.append(dataclasses.replace(batch))
        # All else of a batch is let go, so that memory does not grow.
        batch.images = batch.adversarial = None
        finished.append(batch)
    progress.close()
    labels = np.concatenate([batch.labels for batch in finished])
    outcomes = np.concatenate([batch.outcomes for batch in finished])
    if not epsilon:
        outcomes = np.where(outcomes == 0, len(attacks), outcomes)
    report = RobustnessReport(
        labels=labels,
        outcomes=outcomes,
        attacks=tuple(_labels(attacks)),
        epsilon=float(epsilon),
        norm=ensemble.norm,
        seed=seed,
        settings=dict(zip(_labels(attacks), header["attacks"], strict=True)),
        versions=_versions(),
        seconds=sum(batch.seconds for batch in finished),
    )
    if not diagnose:
        return report
    excess = np.concatenate([batch.excess for batch in finished])
    return _diagnosed(report, evaluator, ensemble, sample, excess)


def robustness_curve(
    model, dataset, epsilons, attacks="standard", norm=None, **options
):
    """Robust accuracy by the size of the perturbations.

    An image that withstands a ball withstands every smaller one, so a radius
    is tried on the images that withstood all the smaller ones.

    Args:
        model: see `evaluate_robustness`.
        dataset: see `evaluate_robustness`; it is read once.
        epsilons: sequence of floats >= 0.
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
    stream, size, logits = evaluator.read(dataset, batch_size)
    stages, ends = [], {}
    for epsilon in _numbers("epsilons", epsilons):
        ensemble = _ensemble(attacks, epsilon, norm, evaluator.value_range)
        if epsilon:
            stages += ensemble.for_classes(logits.shape[1]).attacks
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
    epsilon=EPSILON,
    norm=NORM,
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
    curve = {}
    for count in _numbers("steps", steps):
        attack = PGD(
            epsilon=epsilon,
            norm=norm,
            steps=int(count),
            step_size=2.5 * epsilon / count,
        )
        report = evaluate_robustness(
            model, dataset, attack, diagnose=False, **options
        )
        curve[int(count)] = report.robust_accuracy
    return curve


def _ensemble(attacks, epsilon, norm, value_range):
    """The `AutoAttack` of what the user asked for."""
    if isinstance(attacks, AutoAttack):
        attacks = attacks.attacks
    elif isinstance(attacks, Attack):
        attacks = (attacks,)
    elif isinstance(attacks, str):
        names = sorted(VERSIONS | NAMED)
        if attacks not in names:
            checks.refuse("attacks", f"be one of {names}, or Attacks", attacks)
        attacks = VERSIONS.get(attacks) or (NAMED[attacks],)
    elif not isinstance(attacks, list | tuple):
        checks.refuse(
            "attacks",
            "be a name, an Attack, an AutoAttack or a sequence of these",
            attacks,
            error=TypeError,
        )
    given = [attack for attack in attacks if isinstance(attack, Attack)]
    if any(attack.targeted for attack in given):
        checks.refuse(
            "attacks", "not be targeted: labels are the right classes", attacks
        )
    given = [a for a in given if a not in NAMED.values()]
    norm = norm or _common("norm", given, NORM)
    if epsilon is None:
        epsilon = _common("epsilon", given, EPSILON)
    checks.real("epsilon", epsilon, least=0)
    largest = norms.get(norm).largest_radius
    if epsilon >= largest:
        checks.refuse(
            "epsilon",
            f"be less than {largest:g}, the whole of `value_range`",
            epsilon,
            f"Did you mean {epsilon:g} / 255?",
        )
    return AutoAttack(
        epsilon=epsilon or EPSILON,
        norm=norm,
        attacks=tuple(
            a.resized(epsilon or EPSILON) if isinstance(a, Attack) else a
            for a in attacks
        ),
        value_range=value_range,
    )


def _common(field, attacks, default):
    """The value of a field that all attacks have, or the default."""
    values = {getattr(attack, field) for attack in attacks} or {default}
    if len(values) > 1:
        checks.refuse(
            "attacks",
            f"have one `{field}`",
            checks.Described(f"{sorted(values)}"),
            f"Give `{field}` to choose one for all.",
        )
    return values.pop()


def _numbers(name, values):
    """A sequence of numbers, sorted, each once."""
    if isinstance(values, str) or not np.iterable(values):
        checks.refuse(name, "be a sequence of numbers", values)
    numbers = sorted(set(map(float, values)))
    if not numbers:
        checks.refuse(name, "not be empty", values)
    return numbers


def _peek(stream):
    first = next(stream)
    return first, itertools.chain([first], stream)


def _labels(attacks):
    """A label for each attack; those that repeat are numbered."""
    labels = []
    for label in (attack.label for attack in attacks):
        count = sum(known.split(" #")[0] == label for known in labels)
        labels.append(f"{label} #{count + 1}" if count else label)
    return labels


def _versions():
    # Read late: this module is a part of the package.
    package = importlib.import_module("keras_sat")
    return {
        "keras_sat": package.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }


def _diagnosed(report, evaluator, ensemble, sample, excess):
    """The report with warnings, curves and a few pictures."""
    images = np.concatenate([batch.images for batch in sample])[:DIAGNOSED]
    count = len(images)
    withstood = report.outcomes[:count] == len(report.attacks)
    warnings = [
        diagnostics.black_box_beats_white_box(report.outcomes, report.attacks),
        diagnostics.few_images(report.robust_accuracy, report.num_images),
        diagnostics.images_out_of_range(
            excess.max(), int((excess > diagnostics.ROUNDING).sum())
        ),
    ]
    curves, examples = {}, None
    if report.epsilon:
        subject = diagnostics.Subject(
            predict=evaluator.predict,
            images=tf.constant(images),
            labels=tf.constant(report.labels[:count]),
            withstood=withstood,
            epsilon=report.epsilon,
            norm=report.norm,
            value_range=evaluator.value_range,
            seed=tf.constant([report.seed % 2**31, 1], tf.int32),
            averaged=any(
                getattr(attack, "expectation_steps", 1) > 1
                for attack in ensemble.attacks
            ),
            batch_size=min(len(sample[0].labels), DIAGNOSED),
        )
        curves = {
            "epsilon": subject.accuracy_by_epsilon(),
            "steps": subject.accuracy_by_steps(),
        }
        warnings += diagnostics.find_warnings(subject, curves)
        examples = _examples(subject)
    return dataclasses.replace(
        report,
        warnings=tuple(filter(None, warnings)),
        curves=curves,
        examples=examples,
    )


def _examples(subject):
    """A few images before and after PGD, as `plots.perturbation_grid` likes."""
    images, labels = subject.images[:SHOWN], subject.labels[:SHOWN]
    if images.shape.rank != 4 or images.shape[-1] not in (1, 3):
        return None
    attack = PGD(
        epsilon=subject.epsilon,
        norm=subject.norm,
        steps=20,
        step_size=subject.epsilon / 8,
        value_range=subject.value_range,
    )
    run = compiled(attack, subject.predict)
    adversarial = run(images, labels, subject.seed)
    predictions = [
        np.argmax(subject.predict(x), axis=-1) for x in (images, adversarial)
    ]
    return {
        "images": np.asarray(images),
        "adversarial": np.asarray(adversarial),
        "labels": np.asarray(labels),
        "clean_predictions": predictions[0],
        "adversarial_predictions": predictions[1],
        "value_range": np.asarray(subject.value_range),
    }

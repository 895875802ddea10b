"""How robust a classifier is: the worst case over several attacks."""

import dataclasses
import itertools

import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat import files
from keras_sat.attacks import ensemble
from keras_sat.distribution import several_workers
from keras_sat.evaluation import diagnostics
from keras_sat.evaluation.journal import Journal
from keras_sat.evaluation.progress import Keeper
from keras_sat.evaluation.progress import Progress
from keras_sat.evaluation.report import RobustnessReport
from keras_sat.evaluation.worst_case import Evaluator
from keras_sat.version import versions

# How many images the diagnostics and the pictures are made of.
DIAGNOSED = 64
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
            `value_range`; at most 1 for `norm="linf"`. With 0 the robust
            accuracy is the clean one. It replaces that of the attacks; the
            step of a `PGD` changes with it.
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
            `RobustnessReport`) in a `.npz` file. It must hold none of another
            evaluation. Defaults to nowhere.
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
            described, or if `state_path` or `adversarial_dir` cannot be
            written, belongs to another evaluation, or is written to by another
            process.

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
    paths = {"state_path": state_path, "adversarial_dir": adversarial_dir}
    for name, path in paths.items():
        # All workers would write to it, and go on from different places.
        if path is not None and several_workers(evaluator.strategy):
            checks.refuse(name, "be None on several workers", path)
    chosen = ensemble(attacks, epsilon, norm, evaluator.value_range)
    epsilon = chosen.epsilon if epsilon is None else epsilon
    stream, size, logits = evaluator.read(dataset, batch_size)
    attacks = chosen.sequence(logits.shape[1])
    first, stream = _peek(stream)
    header = evaluator.describe(
        attacks, epsilon, adversarial_dir, first, logits
    )
    tried = attacks if epsilon else ()
    progress = Progress(size, len(tried), verbose)
    finished, sample = [], []
    with (
        files.alone("state_path", state_path),
        files.alone("adversarial_dir", adversarial_dir, inside=True),
    ):
        journal = Journal(state_path, header)
        keeper = Keeper(adversarial_dir, journal.is_new)
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
        norm=chosen.norm,
        seed=seed,
        settings=dict(zip(_labels(attacks), header["attacks"], strict=True)),
        versions=versions(),
        seconds=sum(batch.seconds for batch in finished),
    )
    if not diagnose:
        return report
    excess = np.concatenate([batch.excess for batch in finished])
    return _diagnosed(report, evaluator, attacks, sample, excess)


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


def _diagnosed(report, evaluator, attacks, sample, excess):
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
                for attack in attacks
            ),
            batch_size=min(len(sample[0].labels), DIAGNOSED),
        )
        curves = {
            "epsilon": subject.accuracy_by_epsilon(),
            "steps": subject.accuracy_by_steps(),
        }
        warnings += diagnostics.find_warnings(subject, curves)
        examples = subject.examples()
    return dataclasses.replace(
        report,
        warnings=tuple(filter(None, warnings)),
        curves=curves,
        examples=examples,
    )

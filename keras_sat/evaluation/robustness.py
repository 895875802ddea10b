"""The robust accuracy of a classifier: the worst case of several attacks."""

import contextlib
import dataclasses
import os

import numpy as np

from keras_sat import checks
from keras_sat import files
from keras_sat.attacks import requested_attacks
from keras_sat.distribution import several_workers
from keras_sat.evaluation import journal_header
from keras_sat.evaluation.adversarial_files import AdversarialFiles
from keras_sat.evaluation.attack_labels import distinct_labels
from keras_sat.evaluation.diagnostics import diagnosed
from keras_sat.evaluation.evaluated_model import EvaluatedModel
from keras_sat.evaluation.extremes import shown
from keras_sat.evaluation.journal import Journal
from keras_sat.evaluation.progress import Progress
from keras_sat.evaluation.reading import read
from keras_sat.evaluation.report import RobustnessReport
from keras_sat.evaluation.report_text import VIEW
from keras_sat.evaluation.results import collect
from keras_sat.evaluation.snapshots import Snapshots
from keras_sat.evaluation.two_arrays import takes_two_arrays
from keras_sat.evaluation.worst_case import WorstCaseSearch
from keras_sat.version import versions

# Images in each batch of a pair of arrays.
BATCH_SIZE = 128


@takes_two_arrays
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
    class_names=None,
    verbose=1,
):
    """Measures how robust a classifier is, and looks for reasons to doubt it.

    Every image is attacked by each attack in turn until one succeeds: what
    counts is the worst case for each image. The default is the standard version
    of AutoAttack, whose robust accuracy is what the field reports.

    Under a `tf.distribute` strategy each replica attacks batches of its own.
    The report is the same as on one device.

    Args:
        model: `keras.Model`, or function, from images in `value_range` to
            logits `(batch, num_classes)`. See also `load_classifier`.
        dataset: `tf.data.Dataset`, `keras.utils.PyDataset` or iterable of
            `(images, labels)` batches, or a pair of arrays. Images are float
            in `value_range`, or uint8; labels int `(batch,)`, or
            probabilities `(batch, num_classes)`. Two arrays may also be two
            arguments: `evaluate_robustness(model, x, y)`.
        attacks: str, `Attack`, `AutoAttack`, or sequence of names and
            `Attack`s. `"standard"` and `"rand"` are the versions of
            `AutoAttack`, which lists the other names.
        epsilon: float >= 0. Radius of the ball, as a fraction of the width of
            `value_range`; at most 1 for `norm="linf"`. With 0 the robust
            accuracy is the clean accuracy. It replaces the radius of the
            attacks; the step size of a `PGD` is scaled with it. Defaults to
            that of the attacks, or `4 / 255`.
        norm: str. `"linf"` or `"l2"`. Defaults to that of the attacks, or
            `"linf"`.
        value_range: pair of floats. Black and white in the images that `model`
            takes. Defaults to that of a `SATModel`, or `(0.0, 1.0)`.
        seed: int >= 0. The same seed gives the same report. Defaults to `0`.
        state_path: str or path-like. A file that remembers each attack on
            each batch. An evaluation that was killed continues from it when it
            is started again with the same arguments and a dataset that gives
            the same batches. Defaults to `None`: nothing is remembered.
        adversarial_dir: str or path-like. A folder for the adversarial images:
            a `.npz` file for each batch, with the arrays `images`,
            `adversarial`, `labels` and `outcomes` (see `RobustnessReport`). It
            must hold no such files of another evaluation. Defaults to `None`:
            nothing is kept.
        diagnose: bool. Whether to look, by experiments on the first 64 images,
            for signs that the robust accuracy is wrong, and to attack a few
            images once more, to show them. Defaults to `True`.
        jit_compile: bool or `"auto"`. Whether to use XLA; `"auto"` uses it
            where there is an accelerator. Defaults to `"auto"`.
        batch_size: int >= 1. Images in each batch, if `dataset` is a pair of
            arrays. Defaults to `128`.
        class_names: sequence of str, a different one for each class. Defaults
            to `dataset.class_names`, if there are any.
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
    evaluated = EvaluatedModel(model, value_range, jit_compile)
    checks.integer("seed", seed, least=0)
    _check_writer("state_path", state_path, evaluated.strategy)
    _check_writer("adversarial_dir", adversarial_dir, evaluated.strategy)
    request = requested_attacks(attacks, epsilon, norm, evaluated.value_range)
    progress = Progress(verbose)
    with progress.explained_interruption(_how_to_go_on(state_path)):
        progress.say("tracing the model on the first batch")
        data = read(dataset, batch_size, evaluated)
        attacks = request.named(data.num_classes)
        tried = request.tried(data.num_classes)
        names = _class_names(class_names, dataset, data.num_classes)
        header = journal_header.header(
            evaluated, data, attacks, request.epsilon, seed, adversarial_dir
        )
        with _files(state_path, adversarial_dir, header, progress.note) as (
            saved,
            kept,
        ):
            search = WorstCaseSearch(
                evaluated,
                tried,
                seed,
                *saved,
                num_classes=data.num_classes,
                num_batches=data.size,
            )
            cases = search.worst_cases(
                data.batches, progress.update, kept.is_complete
            )
            results = collect(cases, kept, evaluated.value_range)
        report = _report(results, request, attacks, tried, seed)
        report = _naming_the_view(report, dataset)
        report = dataclasses.replace(report, class_names=names)
        if diagnose:
            report = _with_experiments(report, results, search, progress.say)
    return report


def _check_writer(name, path, strategy):
    """Refuses a path where several workers would write to it.

    Args:
        name: str. The argument, for the error.
        path: str or path-like, or `None`.
        strategy: `tf.distribute.Strategy`.
    """
    # All workers would write to it, and continue from different places.
    if path is not None and several_workers(strategy):
        checks.refuse(name, "be None on several workers", path)


def _how_to_go_on(state_path):
    """Returns words for an evaluation that was interrupted."""
    if state_path is None:
        return "With `state_path` the same call would go on from where it was."
    return (
        f"The same call goes on from {os.fspath(state_path)!r}; the piece that "
        "was being computed is repeated."
    )


@contextlib.contextmanager
def _files(state_path, adversarial_dir, header, note):
    """Yields the journal and the snapshots, and the adversarial files.

    No other process writes to the same places meanwhile.

    Args:
        state_path, adversarial_dir: see `evaluate_robustness`.
        header: dict that describes the evaluation.
        note: function that tells users a str.
    """
    with (
        files.alone("state_path", state_path),
        files.alone("adversarial_dir", adversarial_dir, inside=True),
        Snapshots(state_path, header) as snapshots,
    ):
        journal = Journal(state_path, header)
        kept = AdversarialFiles(adversarial_dir, journal.is_new)
        continues = not journal.is_new
        if continues:
            note(f"The evaluation goes on from {os.fspath(state_path)!r}.")
        yield (journal, snapshots), kept
        if continues and not journal.has_grown:
            note("It was finished already: all results are from there.")


def _with_experiments(report, results, search, say):
    """Returns a report with what experiments after the evaluation show.

    Args:
        report: `RobustnessReport`.
        results: `Results`.
        search: `WorstCaseSearch` that is over.
        say: function that shows a line of text.
    """
    report = diagnosed(
        report,
        search.evaluated,
        search.attacks,
        results.sample,
        results.excess,
        say,
    )
    say("attacking a few images again, to show them")
    extremes = shown(results.chosen, search)
    return dataclasses.replace(report, extremes=extremes)


def _class_names(class_names, dataset, num_classes):
    """Returns the names of the classes, a list of str, or `None`.

    Args:
        class_names, dataset: see `evaluate_robustness`.
        num_classes: int. How many classes the model tells apart.
    """
    if class_names is not None:
        return checks.class_names(class_names, num_classes)
    names = getattr(dataset, "class_names", None)
    # What others have under this name may be anything.
    is_list = isinstance(names, list | tuple)
    return names if is_list and all(isinstance(n, str) for n in names) else None


def _naming_the_view(report, dataset):
    """Returns a report that says what of the pictures the images show.

    Args:
        report: `RobustnessReport`.
        dataset: see `evaluate_robustness`. Those of `keras_sat.data` say it.
    """
    view = getattr(dataset, "view", None)
    # Arrays have a method of that name.
    if not isinstance(view, dict):
        return report
    settings = report.settings | {VIEW: view}
    return dataclasses.replace(report, settings=settings)


def _report(results, request, attacks, tried, seed):
    """Returns the report of an evaluation, not diagnosed yet.

    Args:
        results: `Results`.
        request: `RequestedAttacks`.
        attacks: sequence of the `Attack`s that the report names.
        tried: sequence of those of them that were made.
        seed: int.
    """
    labels = distinct_labels(attacks)
    # The outcome of an image that withstood all attacks is their number. That
    # of the attacks that were made may be smaller than that of those named.
    withstood = results.outcomes == len(tried)
    return RobustnessReport(
        labels=results.labels,
        outcomes=np.where(withstood, len(attacks), results.outcomes),
        attacks=tuple(labels),
        epsilon=float(request.epsilon),
        norm=request.norm,
        seed=seed,
        settings=dict(
            zip(labels, journal_header.settings(attacks), strict=True)
        ),
        versions=versions(),
        seconds=results.seconds,
        clean_predictions=results.clean_predictions,
        adversarial_predictions=results.adversarial_predictions,
        fingerprint=results.fingerprint,
    )

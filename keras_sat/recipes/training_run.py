"""A whole training by a recipe, from the data to the exported classifier."""

import os

import keras
import tensorflow as tf

from keras_sat import callbacks
from keras_sat import checks
from keras_sat import distribution
from keras_sat import files
from keras_sat import loading
from keras_sat.evaluation.robustness import evaluate_robustness

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def train(
    recipe,
    train_ds,
    test_ds,
    directory,
    *,
    strategy=None,
    precision="float32",
    report_images=1000,
    **options,
):
    """Trains by a recipe; measures, saves and exports the best epoch.

    In `directory` are, at the end, what `callbacks.standard` writes, the
    report of AutoAttack in float32 (see `RobustnessReport.save`), and
    `saved_model`, for servers. Called again after a kill, with the same
    arguments, it goes on where it was. No other process can write there
    meanwhile.

    Args:
        recipe: `Recipe`.
        train_ds: `tf.data.Dataset` of `data.load` or `data.image_folder`, made
            with `recipe.data_options`.
        test_ds: `tf.data.Dataset` like it, for validation and the report.
        directory: str or path-like. Only for this run; it is created. All of
            several workers need to see it.
        strategy: `tf.distribute.Strategy`. Defaults to the one that
            `keras_sat.strategy` chooses.
        precision: str. The dtype policy of training: `"float32"`,
            `"mixed_bfloat16"` or `"mixed_float16"`. Defaults to `"float32"`.
        report_images: int >= 1. Images of `test_ds` that AutoAttack attacks;
            the first ones. Defaults to `1000`.
        **options: further arguments of `callbacks.standard`.

    Returns:
        `SATModel` with the weights of the best epoch, in float32, and its
        `RobustnessReport`.

    Raises:
        TypeError: If a dataset is not one of `keras_sat.data`.
        ValueError: If `precision` is unknown, or `report_images` below 1; if
            another process writes to `directory`, or it cannot be written; in
            `fit` and in its callbacks, if there is nothing to train on.
        KeyboardInterrupt: On SIGINT; a training is saved first, see
            `callbacks.Resume`.

    Example:

    ```python
    recipe = keras_sat.recipes.cifar10()
    options = recipe.data_options
    train_ds = keras_sat.data.load("cifar10", "train", training=True, **options)
    test_ds = keras_sat.data.load("cifar10", "test", **options)
    model, report = keras_sat.recipes.train(recipe, train_ds, test_ds, "run")
    ```
    """
    checks.one_of("precision", precision, POLICIES)
    checks.integer("report_images", report_images)
    _check_prepared("train_ds", train_ds)
    _check_prepared("test_ds", test_ds)
    strategy = strategy or distribution.strategy()
    directory = checks.path("directory", directory)
    # One of several workers writes, and the others do not.
    own = directory if distribution.is_chief(strategy) else None
    with files.alone("directory", own, inside=True):
        model = _model(recipe, train_ds, strategy, precision)
        with strategy.scope():
            recipe.compile(model, train_ds.num_batches)
        model.fit(
            train_ds,
            epochs=recipe.epochs,
            validation_data=test_ds,
            callbacks=callbacks.standard(model, directory, test_ds, **options),
        )
        # What one worker wrote last, the others have to find.
        distribution.wait_for_workers(strategy)
        best = _model(recipe, train_ds, strategy, "float32")
        trained = loading.load_classifier(os.path.join(directory, "best.keras"))
        best.set_weights(trained.get_weights())
        report = _report(
            best, test_ds, report_images, recipe.epsilon, directory
        )
        if own:
            report.save(directory)
            best.export(
                os.path.join(directory, "saved_model"),
                class_names=test_ds.class_names,
                report=report,
            )
    return best, report


def _check_prepared(name, dataset):
    """Refuses a dataset that does not tell its classes and its size."""
    told = ("class_names", "num_classes", "num_batches")
    missing = [field for field in told if not hasattr(dataset, field)]
    if not isinstance(dataset, tf.data.Dataset) or missing:
        checks.refuse(
            name,
            "be a dataset of data.load or data.image_folder",
            checks.Described(
                f"a {type(dataset).__name__} without {', '.join(missing)}"
            ),
            "Train on others by `recipe.model`, `recipe.compile` and `fit`.",
            TypeError,
        )


def _model(recipe, dataset, strategy, policy):
    """The model of a recipe with as many classes as there are."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        with strategy.scope():
            return recipe.model(num_classes=dataset.num_classes)
    finally:
        keras.config.set_dtype_policy(before)


def _report(model, dataset, count, epsilon, directory):
    """What AutoAttack leaves, from where it was stopped on one worker."""
    state_path = os.path.join(directory, "evaluation.jsonl")
    if distribution.several_workers(model.distribute_strategy):
        state_path = None
    return evaluate_robustness(
        model,
        dataset.unbatch().take(count).batch(min(count, 128)),
        epsilon=epsilon,
        state_path=state_path,
    )

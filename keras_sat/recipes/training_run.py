"""A whole training run by a recipe, from the data to the export."""

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
    verbose="auto",
    **options,
):
    """Trains by a recipe, then evaluates and exports the best epoch.

    In the end, `directory` contains the files of `callbacks.standard`, the
    report of AutoAttack in float32 (see `RobustnessReport.save`), and
    `saved_model`, for servers. After an interruption, the same call continues
    where it was. Meanwhile, no other process can write to `directory`.

    Args:
        recipe: `Recipe`.
        train_ds: `tf.data.Dataset` of `data.load` or `data.image_folder`, made
            with `recipe.data_options`.
        test_ds: `tf.data.Dataset` like it, for validation and the report.
        directory: str or path-like. A folder for this run alone, which is
            created. Several workers need to share it.
        strategy: `tf.distribute.Strategy`. Defaults to the one that
            `keras_sat.strategy` chooses.
        precision: str. The dtype policy of training: `"float32"`,
            `"mixed_bfloat16"` or `"mixed_float16"`. Defaults to `"float32"`.
        report_images: int >= 1. Number of images that AutoAttack attacks, the
            first ones of `test_ds`. Defaults to `1000`.
        verbose: `"auto"`, 0, 1 or 2. See `keras.Model.fit`; with 0, the
            evaluation shows nothing either. Defaults to `"auto"`.
        **options: other arguments of `callbacks.standard`.

    Returns:
        `SATModel` with the weights of the best epoch, in float32, and its
        `RobustnessReport`.

    Raises:
        TypeError: If a dataset is not one of `keras_sat.data`.
        ValueError: If `precision` is unknown, if `report_images` is less than
            1, if another process writes to `directory`, if it cannot be
            written, or if there is nothing to train on.
        KeyboardInterrupt: On SIGINT, after the training is saved; see
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
    is_chief = distribution.is_chief(strategy)
    with files.alone("directory", directory if is_chief else None, inside=True):
        weights = None
        for folder, stage in recipe.stages.items():
            model = _model(stage, train_ds, strategy, precision)
            if weights is not None:
                model.model.set_weights(weights)
            with strategy.scope():
                stage.compile(model, train_ds.num_batches)
            saving = _saving(model, test_ds, directory, folder, options)
            model.fit(train_ds, epochs=stage.epochs, verbose=verbose, **saving)
            weights = model.model.get_weights()
        best = _best_model(recipe, train_ds, strategy, directory)
        report = _report(
            best, test_ds, report_images, recipe.epsilon, directory, verbose
        )
        if is_chief:
            report.save(directory)
            path = os.path.join(directory, "saved_model")
            names = test_ds.class_names
            best.export(path, class_names=names, report=report, overwrite=True)
    return best, report


def _saving(model, test_ds, directory, folder, options):
    """Returns arguments of `fit` that save a stage, and validate the last one.

    Args:
        model: `SATModel`.
        test_ds: `tf.data.Dataset`.
        directory: str. The folder of the run.
        folder: str. The name of the stage; `""` for the last one.
        options: dict. Arguments of `callbacks.standard`.
    """
    if not folder:
        saving = callbacks.standard(model, directory, test_ds, **options)
        return {"validation_data": test_ds, "callbacks": saving}
    before = options.get("resume_dir") or os.path.join(directory, "checkpoints")
    resume = callbacks.Resume(
        os.path.join(before, folder), options.get("save_freq", "epoch")
    )
    return {"callbacks": [callbacks.StopOnNonFinite(), resume]}


def _check_prepared(name, dataset):
    """Refuses a dataset without the attributes of those of `keras_sat.data`."""
    attributes = ("class_names", "num_classes", "num_batches")
    missing = [field for field in attributes if not hasattr(dataset, field)]
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
    """Builds the model of a recipe for the classes of a dataset.

    Args:
        recipe: `Recipe`.
        dataset: `tf.data.Dataset` of `keras_sat.data`.
        strategy: `tf.distribute.Strategy`.
        policy: str. The dtype policy.

    Returns:
        `SATModel`.
    """
    options = {"num_classes": dataset.num_classes}
    channels = dataset.element_spec[0].shape[-1]
    if channels != recipe.image_shape[-1]:
        # Networks that are built for a recipe can be built for gray images.
        options["input_shape"] = (*recipe.image_shape[:-1], channels)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        with strategy.scope():
            return recipe.model(**options)
    finally:
        keras.config.set_dtype_policy(before)


def _best_model(recipe, dataset, strategy, directory):
    """Returns the model of a recipe with the weights of the best epoch.

    It is in float32, in which robust accuracy is to be measured: in half
    precision, rounding hides gradients from attacks.
    """
    # The file that one worker wrote last has to be there for the others.
    distribution.wait_for_workers(strategy)
    best = _model(recipe, dataset, strategy, "float32")
    trained = loading.load_classifier(os.path.join(directory, "best.keras"))
    best.set_weights(trained.get_weights())
    return best


def _report(model, dataset, count, epsilon, directory, verbose):
    """Evaluates a model against AutoAttack; continues after an interruption.

    Args:
        model: `SATModel`.
        dataset: `tf.data.Dataset` of images and labels.
        count: int. Number of images.
        epsilon: float. The radius.
        directory: str. The folder of the state of the evaluation.
        verbose: 0 to show nothing.

    Returns:
        `RobustnessReport`.
    """
    # Only one worker alone can continue: several do not share a state file.
    state_path = os.path.join(directory, "evaluation.jsonl")
    if distribution.several_workers(model.distribute_strategy):
        state_path = None
    images = dataset.unbatch().take(count).batch(min(count, 128))
    # TensorFlow loses attributes.
    images.view = getattr(dataset, "view", None)
    images.class_names = getattr(dataset, "class_names", None)
    return evaluate_robustness(
        model,
        images,
        epsilon=epsilon,
        state_path=state_path,
        verbose=0 if verbose == 0 else 1,
    )

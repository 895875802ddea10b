"""One run: a network trained by one arm from one seed, and measured."""

import dataclasses
import os
import platform
import subprocess
import time

import keras
import tensorflow as tf

import keras_sat
from study.costs import EpochCosts
from study.data import batches

# Of every row, before and after the numbers of the study.
FIRST = (
    "study",
    "arm",
    "seed",
    "clean_accuracy",
    "robust_accuracy",
    "autoattack_accuracy",
)
LAST = (
    "epochs",
    "images",
    "parameters",
    "evaluated_images",
    "autoattack_images",
    "train_seconds",
    "train_processor_seconds",
    "seconds",
    "setting",
    "deterministic",
    "threads",
    "commit",
    "keras_sat",
    "keras",
    "tensorflow",
    "processor",
)
# What differs between two runs of the same row.
VARYING = ("train_seconds", "train_processor_seconds", "seconds")
EVALUATION_BATCH = 250


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How a grid is run, alike for all of its rows.

    Args:
        autoattack_seeds: int. AutoAttack is for seeds below this number.
        deterministic: bool. Whether TensorFlow gives the same bits each time.
        threads: int. Threads of one operation.
        held_out: bool. Whether images are those held out for choices.
    """

    autoattack_seeds: int = 3
    deterministic: bool = False
    threads: int = 1
    held_out: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A network after its training, with all that it came from.

    Args:
        arm, setting, data, seed: see `train`.
        model: `keras_sat.SATModel`.
        network: `keras.Model`. The same function as `model`, with its true
            gradient: what evaluations attack.
        epochs: int. How many there were.
        seconds: float. How long they took.
        processor_seconds: float. Processor time of that.
        costs: dict. See `costs.EpochCosts.of_a_step`.
    """

    arm: object
    setting: object
    data: object
    seed: int
    model: keras.Model
    network: keras.Model
    epochs: int
    seconds: float
    processor_seconds: float
    costs: dict

    def evaluate(self, attacks, count=None):
        """Returns the report of an evaluation on the first `count` images."""
        images, labels = (part[:count] for part in self.data.test)
        return keras_sat.evaluate_robustness(
            self.network,
            (images, labels),
            attacks,
            epsilon=self.setting.epsilon,
            seed=self.seed,
            batch_size=min(EVALUATION_BATCH, len(images)),
            diagnose=False,
            verbose=0,
        )


def prepared(arm, setting, classes, seed):
    """Makes the model of an arm, as it is before the first step.

    The weights are those that the residual network of the setting with ReLU
    has for this seed, wherever an arm has a weight of the same name and shape.
    The noise of the attack is the same for all arms, too.

    Args:
        arm: `Arm`.
        setting: `Setting`.
        classes: int.
        seed: int.

    Returns:
        Compiled `keras_sat.SATModel`, without a learning rate that falls.
    """
    common = dataclasses.replace(
        arm, activation="relu", builder=None, network={}
    )
    keras.utils.set_random_seed(seed)
    first = common.build(setting, classes)
    keras.utils.set_random_seed(seed)
    network = arm.build(setting, classes)
    known = {weight.path: weight for weight in first.weights}
    for weight in network.weights:
        other = known.get(weight.path)
        if other is not None and other.shape == weight.shape:
            weight.assign(other)
    attack_model = None
    if arm.attack_activation is not None:
        attack_model = arm.build(setting, classes, arm.attack_activation)
    # How many random numbers a network took must not change the noise.
    keras.utils.set_random_seed(seed)
    return keras_sat.SATModel(
        network,
        attack=arm.training_attack(setting),
        eval_attack=setting.evaluation_attack(),
        objective=arm.objective,
        attack_model=attack_model,
    )


def train(arm, setting, data, seed):
    """Trains the network of an arm.

    Args:
        arm: `Arm`.
        setting: `Setting`.
        data: `Data`.
        seed: int.

    Returns:
        `Trained`.
    """
    keras.utils.clear_session()
    data = data.resized(arm.size(setting))
    model = prepared(arm, setting, data.classes, seed)
    epochs = max(1, round(setting.epochs * arm.epochs))
    steps = len(data.train[1]) // setting.batch_size
    updates = epochs * steps * model.objective.replays
    rate = keras.optimizers.schedules.CosineDecay(
        setting.learning_rate, updates
    )
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
        keras_sat.CrossEntropy(),
        weight_decay=setting.weight_decay,
    )
    costs = EpochCosts()
    start, processor = time.perf_counter(), time.process_time()
    model.fit(
        batches(data.train, setting.batch_size, epochs, seed),
        epochs=epochs,
        steps_per_epoch=steps,
        callbacks=[costs],
        verbose=0,
    )
    seconds = time.perf_counter() - start
    processor = time.process_time() - processor
    network = model.model
    if arm.evaluated_activation is not None:
        network = arm.build(setting, data.classes, arm.evaluated_activation)
        network.set_weights(model.model.get_weights())
    return Trained(
        arm=arm,
        setting=setting,
        data=data,
        seed=seed,
        model=model,
        network=network,
        epochs=epochs,
        seconds=seconds,
        processor_seconds=processor,
        costs=costs.of_a_step(steps),
    )


def run(study, name, seed, setting, data, options):
    """Trains and measures one arm from one seed.

    Args:
        study: `Study`.
        name: str. The arm.
        seed: int.
        setting: `Setting`.
        data: `Data`.
        options: `Options`.

    Returns:
        Dict from the names of `columns(study)` to numbers and words.
    """
    start = time.perf_counter()
    trained = train(study.arms[name], setting, data, seed)
    report = trained.evaluate([setting.evaluation_attack()])
    row = {
        "study": study.name,
        "arm": name,
        "seed": seed,
        "clean_accuracy": report.clean_accuracy,
        "robust_accuracy": report.robust_accuracy,
        "autoattack_accuracy": None,
        **study.measure(trained),
        "epochs": trained.epochs,
        "images": len(data.train[0]),
        "parameters": trained.network.count_params(),
        "evaluated_images": report.num_images,
        "autoattack_images": 0,
        "train_seconds": round(trained.seconds, 1),
        "train_processor_seconds": round(trained.processor_seconds, 1),
    }
    if seed < options.autoattack_seeds:
        worst = trained.evaluate("standard", setting.autoattack_images)
        row["autoattack_accuracy"] = worst.robust_accuracy
        row["autoattack_images"] = worst.num_images
    row["seconds"] = round(time.perf_counter() - start, 1)
    row |= {
        "setting": setting.name,
        "deterministic": options.deterministic,
        "threads": options.threads,
    }
    return row | surroundings()


def columns(study):
    """Returns the names of the columns of a study, in order."""
    return (*FIRST, *study.columns, *LAST)


def varying(study):
    """Returns the names of the columns that differ between equal runs."""
    return (*VARYING, *study.varying)


def surroundings():
    """Describes the program and the machine, as the last part of a row."""
    return {
        "commit": _commit(),
        "keras_sat": keras_sat.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "processor": _processor(),
    }


def _commit():
    """Returns the commit of these files, with a `+` if they were changed."""
    here = os.path.dirname(__file__)

    def answer(*words):
        return subprocess.run(
            ["git", "-C", here, *words], capture_output=True, text=True
        ).stdout.strip()

    try:
        changed = answer("status", "--porcelain", "--untracked-files=no")
        return answer("rev-parse", "--short=12", "HEAD") + "+" * bool(changed)
    except FileNotFoundError:
        return ""


def _processor():
    """Returns the name of the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

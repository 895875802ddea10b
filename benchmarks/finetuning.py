r"""Compares fine-tuning with training from scratch, in paired runs.

apt-get install dataset-fashion-mnist  # or get the four files from elsewhere
python benchmarks/finetuning.py --output_dir=runs/finetuning \
    --data_dir=/usr/share/datasets/fashion-mnist

Five classes of Fashion-MNIST are for pretraining, once on clean images with
ReLU and once on adversarial ones with SiLU. The other five are the task. A
small network learns it adversarially: from scratch, from the clean weights and
from the robust ones, for `--epochs` and for an eighth of them. Each of these
six arms has the learning rate of `RATES` that is best for it on images that
are held out, with a seed of its own; then each seed gives one run of every arm.
Nothing is chosen on test images.

Each run that is done is a line in `runs.csv` and is not repeated: after a kill
the same command goes on. In the end, and with `--show`, it prints three tables
as Markdown: robust accuracy on held-out images by learning rate, against PGD
with 10 steps; means over the seeds with 95 % intervals of Student's t; and the
differences of the runs with the same seed. There, robust accuracy is the worst
of APGD-CE and APGD-T.
"""

import csv
import dataclasses
import functools
import itertools
import math
import os
import time

import keras
import numpy as np
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder of Fashion-MNIST's four files.")
flags.DEFINE_string("output_dir", None, "Folder of the runs.")
flags.DEFINE_integer("seeds", 5, "Runs of each arm.")
flags.DEFINE_integer("epochs", 8, "Epochs at full cost, a multiple of 8.")
flags.DEFINE_integer("images", 4096, "Images to train on, in each epoch.")
flags.DEFINE_integer("test_images", 500, "Images to measure on.")
flags.DEFINE_bool("show", False, "Print the tables of what is done.")

EPSILON = 0.1
SHARE = 8
SOURCE, TASK = (0, 1, 2, 3, 4), (5, 6, 7, 8, 9)
STARTS = ("scratch", "clean", "robust")
RATES = (0.005, 0.02, 0.08, 0.32)
PRETRAINING_RATE = 0.08
# Of the runs that choose the rates.
SELECTION_SEED = 1000
# Quantiles of Student's t for 95 % of both sides, from 1 degree of freedom on.
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


@dataclasses.dataclass(frozen=True)
class Run:
    """A run of the experiment, and what came out.

    Args:
        kind: str. `"selection"` or `"test"`: the images it is measured on.
        start: str. One of `STARTS`.
        share: int. 1, or `SHARE` for that part of the epochs.
        rate: float. The learning rate.
        seed: int.
        clean, robust: float. Accuracies; `None` before the run.
        seconds: float. Its time.
    """

    kind: str
    start: str
    share: int
    rate: float
    seed: int
    clean: float | None = None
    robust: float | None = None
    seconds: float | None = None

    @property
    def key(self):
        """What tells it from other runs."""
        return self.kind, self.start, self.share, self.rate, self.seed


class Runs:
    """The runs that are done, in a file that is always whole.

    Args:
        path: str. The CSV file.
    """

    def __init__(self, path):
        self.path = path
        self.done = []
        if os.path.exists(path):
            with open(path, newline="", encoding="utf-8") as file:
                self.done = [self._of_row(row) for row in csv.DictReader(file)]

    def get(self, run):
        """Returns a run with its results, and runs it if it is not done."""
        for other in self.done:
            if other.key == run.key:
                return other
        finished = execute(run)
        self.done.append(finished)
        unfinished = f"{self.path}.{os.getpid()}.tmp"
        with open(unfinished, "w", newline="", encoding="utf-8") as file:
            names = [field.name for field in dataclasses.fields(Run)]
            writer = csv.DictWriter(file, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(map(dataclasses.asdict, self.done))
        os.replace(unfinished, self.path)
        print(finished, flush=True)
        return finished

    @staticmethod
    def _of_row(row):
        kinds = {field.name: field.type for field in dataclasses.fields(Run)}
        values = {
            name: text if kinds[name] is str else float(text)
            for name, text in row.items()
        }
        whole = {name: int(values[name]) for name in ("share", "seed")}
        return Run(**values | whole)


@functools.cache
def read(part, classes, begin, count):
    """Returns images of some classes, with labels from 0 on.

    Args:
        part: str. `"train"` or `"test"`.
        classes: tuple of int.
        begin, count: int. Which ones of them.
    """
    dataset = keras_sat.data.idx_folder(
        FLAGS.data_dir, part, held_out=0, batch_size=60_000
    )
    images, labels = next(dataset.as_numpy_iterator())
    chosen = np.flatnonzero(np.isin(labels, classes))[begin : begin + count]
    return images[chosen], np.searchsorted(classes, labels[chosen])


def build(activation, num_classes=5):
    """Returns a small network with new weights."""
    x = image = keras.Input((28, 28, 1))
    x = keras.layers.Rescaling(2.0, offset=-1.0)(x)
    for filters in (16, 32, 64):
        x = keras.layers.Conv2D(filters, 3, strides=2, use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.Activation(activation)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(num_classes)(x))


def recipe_of(network, start, epochs, rate):
    """Returns a recipe of the package, at the size of this experiment.

    Args:
        network: `keras.Model`.
        start: str. `"clean"` for the one whose radius grows; or `"robust"`.
        epochs: int.
        rate: float.
    """
    fields = {"warmup_epochs": epochs / 10}
    if start == "clean":
        fields["epsilon_warmup_epochs"] = epochs / 2
    return keras_sat.recipes.finetune(
        network,
        start,
        epochs=epochs,
        learning_rate=rate,
        batch_size=64,
        reference_batch_size=64,
        epsilon=EPSILON,
        step_size=EPSILON / 2,
        eval_step_size=EPSILON / 4,
        **fields,
    )


def train(recipe, model, data, seed):
    """Trains a model on arrays, in an order that the seed decides."""
    keras.utils.set_random_seed(seed)
    recipe.compile(model, math.ceil(len(data[0]) / recipe.batch_size))
    model.fit(*data, recipe.batch_size, recipe.epochs, verbose=0)


def pretrained(start, seed):
    """Returns the path of weights for the source classes; trains them once."""
    path = os.path.join(FLAGS.output_dir, f"{start}-{seed}.keras")
    if os.path.exists(path):
        return path
    data = read("train", SOURCE, 0, FLAGS.images)
    keras.utils.set_random_seed(seed)
    network = build("relu" if start == "clean" else "silu")
    recipe = recipe_of(network, "robust", FLAGS.epochs, PRETRAINING_RATE)
    model = recipe.model(network)
    if start == "robust":
        train(recipe, model, data, seed)
    else:
        rate = recipe.schedule(math.ceil(FLAGS.images / recipe.batch_size))
        network.compile(
            keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        images = data[0].astype("float32") / 255
        network.fit(images, data[1], 64, FLAGS.epochs, verbose=0)
    # A `SATModel` appears whole or not at all, and tells the range of pixels.
    model.save(path)
    return path


def execute(run):
    """Trains and measures, and returns the run with its results."""
    start = time.monotonic()
    data = read("train", TASK, 0, FLAGS.images)
    epochs = FLAGS.epochs // run.share
    keras.utils.set_random_seed(run.seed)
    if run.start == "scratch":
        network = build("silu", len(TASK))
        recipe = recipe_of(network, "robust", epochs, run.rate)
        model = recipe.model(network)
    else:
        path = pretrained(run.start, run.seed)
        recipe = recipe_of(path, run.start, epochs, run.rate)
        keras.utils.set_random_seed(run.seed)
        model = recipe.model(num_classes=len(TASK))
    train(recipe, model, data, run.seed)
    if run.kind == "test":
        held_out = read("test", TASK, 0, FLAGS.test_images)
    else:
        held_out = read("train", TASK, FLAGS.images, FLAGS.test_images)
    report = keras_sat.evaluate_robustness(
        model,
        *held_out,
        ["apgd-ce", "apgd-t"] if run.kind == "test" else recipe.eval_attack,
        epsilon=EPSILON,
        diagnose=False,
        verbose=0,
    )
    keras.backend.clear_session()
    return dataclasses.replace(
        run,
        clean=float(report.clean_accuracy),
        robust=float(report.robust_accuracy),
        seconds=round(time.monotonic() - start, 1),
    )


def best_rate(runs, start, share):
    """Returns the rate with the best robust accuracy on held-out images."""
    tried = [
        runs.get(Run("selection", start, share, rate, SELECTION_SEED))
        for rate in RATES
    ]
    return max(tried, key=lambda run: run.robust).rate


def interval(values):
    """Returns the mean of some numbers in %, and half of its 95 % interval."""
    mean = f"{100 * np.mean(values):.1f}"
    if len(values) < 2:
        return mean
    deviation = np.std(values, ddof=1) / math.sqrt(len(values))
    half = 100 * STUDENT[len(values) - 2] * deviation
    return f"{mean} ± {half:.1f}"


def selection(runs):
    """Returns robust accuracy on held-out images by rate, as Markdown."""
    tried = {
        (run.start, run.share, run.rate): run
        for run in runs.done
        if run.kind == "selection"
    }
    lines = [
        f"| start | cost | {' | '.join(map(str, RATES))} |",
        "|---|---|" + "---|" * len(RATES),
    ]
    for share, start in itertools.product((1, SHARE), STARTS):
        found = [tried.get((start, share, rate)) for rate in RATES]
        cells = [f"{100 * run.robust:.1f}" if run else "" for run in found]
        lines.append(f"| {start} | 1/{share} | {' | '.join(cells)} |")
    return "\n".join(lines)


def tables(runs):
    """Returns means and paired differences as Markdown."""
    arms = {}
    for run in runs.done:
        if run.kind == "test":
            arms.setdefault((run.start, run.share), {})[run.seed] = run
    lines = [
        "| start | cost | learning rate | seeds | clean, % | robust, % |",
        "|---|---|---|---|---|---|",
    ]
    for (start, share), by_seed in arms.items():
        rates = sorted({run.rate for run in by_seed.values()})
        clean = interval([run.clean for run in by_seed.values()])
        robust = interval([run.robust for run in by_seed.values()])
        lines.append(
            f"| {start} | 1/{share} | {', '.join(map(str, rates))} "
            f"| {len(by_seed)} | {clean} | {robust} |"
        )
    lines += [
        "",
        "| robust accuracy, points | seeds | difference |",
        "|---|---|---|",
    ]
    for one, two in itertools.combinations(arms, 2):
        seeds = sorted(set(arms[one]) & set(arms[two]))
        if seeds:
            differences = [
                arms[two][seed].robust - arms[one][seed].robust
                for seed in seeds
            ]
            names = [f"{start} 1/{share}" for start, share in (two, one)]
            lines.append(
                f"| {' minus '.join(names)} | {len(seeds)} "
                f"| {interval(differences)} |"
            )
    return "\n".join(lines)


def main(_):
    """Runs what is not done, and prints the tables."""
    os.makedirs(FLAGS.output_dir, exist_ok=True)
    runs = Runs(os.path.join(FLAGS.output_dir, "runs.csv"))
    if not FLAGS.show:
        arms = list(itertools.product((1, SHARE), STARTS))
        rates = {arm: best_rate(runs, arm[1], arm[0]) for arm in arms}
        for seed in range(FLAGS.seeds):
            for share, start in arms:
                rate = rates[share, start]
                runs.get(Run("test", start, share, rate, seed))
    print(f"{selection(runs)}\n\n{tables(runs)}")


if __name__ == "__main__":
    flags.mark_flags_as_required(["data_dir", "output_dir"])
    app.run(main)

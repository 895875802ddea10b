"""The flags of all studies, and what a study does with them."""

import dataclasses
import os
import time

import tensorflow as tf
from absl import flags

import keras_sat
from study import data
from study import engine
from study import files
from study import grid
from study import pictures
from study import setting as settings
from study import tables

FLAGS = flags.FLAGS
flags.DEFINE_integer("seeds", None, "Seeds of each arm, from 0 on.", 1)
flags.DEFINE_list("arms", None, "Arms to run. By default all of the study.")
flags.DEFINE_string(
    "data_dir",
    "/usr/share/datasets/fashion-mnist",
    "Folder with the idx files of Fashion-MNIST.",
)
flags.DEFINE_string("out", "outputs/studies", "Folder for the results.")
flags.DEFINE_bool("quick", False, "Whether to run on the digits, in minutes.")
flags.DEFINE_bool(
    "deterministic",
    True,
    "Whether a run gives the same bits each time, on the same machine.",
)
flags.DEFINE_integer(
    "evaluate_images", None, "Images to measure on. By default all.", 1
)
flags.DEFINE_integer(
    "autoattack_seeds", None, "Seeds of each arm that AutoAttack gets.", 0
)
flags.DEFINE_bool(
    "held_out",
    False,
    "Whether to measure on held-out training images, as choices have to.",
)
flags.DEFINE_integer("threads", 1, "Processor threads of an operation.", 1)
flags.DEFINE_string("row", None, "Run one row, arm:seed, again and print it.")

AUTOATTACK_SEEDS = 3


def main_of(study, draw=None):
    """Returns the program of a study.

    Args:
        study: `Study`.
        draw: function from rows and a path without an extension, for further
            pictures. Defaults to none.

    Returns:
        Function that `absl.app.run` can run.
    """

    def main(_):
        """Runs all that is not done yet, and writes the table."""
        setting, options = _choices()
        if FLAGS.row is not None:
            _run_again(study, setting, options)
            return
        runs = _runs(study)
        # Rows of digits and of held-out images are kept apart from the others.
        name = study.name + "_held_out" * options.held_out
        name += "_quick" * FLAGS.quick
        path = os.path.join(FLAGS.out, name)
        made = grid.Grid(
            path,
            path + ".csv",
            engine.columns(study),
            _header(study, setting, options),
        )
        print(_beginning(study, runs, made), flush=True)
        start = time.perf_counter()
        images = _data(setting, options)
        made.work(
            runs,
            lambda arm, seed: engine.run(
                study, arm, seed, setting, images, options
            ),
            lambda line: print(line, flush=True),
        )
        _write_results(made.rows(), study, path, draw)
        took = grid.duration(time.perf_counter() - start)
        print(f"\nIn {took}. Written: {path}.csv, .md and .png")

    return keras_sat.interruptible(main)


def _choices():
    """Returns setting and options, by the flags."""
    tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
    if FLAGS.deterministic:
        tf.config.experimental.enable_op_determinism()
    setting = settings.DIGITS if FLAGS.quick else settings.FASHION_MNIST
    seeds = FLAGS.autoattack_seeds
    if seeds is None:
        seeds = 0 if FLAGS.quick else AUTOATTACK_SEEDS
    return setting, engine.Options(
        autoattack_seeds=seeds,
        deterministic=FLAGS.deterministic,
        threads=FLAGS.threads,
        held_out=FLAGS.held_out,
    )


def _data(setting, options):
    """Returns the images."""
    return data.read(
        setting, FLAGS.data_dir, options.held_out, FLAGS.evaluate_images
    )


def _runs(study):
    """Returns the runs, seed by seed: what is done first can be compared."""
    seeds = FLAGS.seeds
    if seeds is None:
        seeds = study.quick_seeds if FLAGS.quick else study.seeds
    arms = FLAGS.arms or (FLAGS.quick and study.quick_arms) or study.arms
    for arm in arms:
        _check_arm("arms", arm, study)
    return [(arm, seed) for seed in range(seeds) for arm in arms]


def _check_arm(flag, arm, study):
    """Refuses an arm that the study does not have."""
    if arm not in study.arms:
        raise ValueError(
            f"`{flag}` must name arms of {sorted(study.arms)}. Received: "
            f"{arm!r}."
        )


def _header(study, setting, options):
    """Returns what all rows of a grid have in common."""
    return {
        "study": study.name,
        "arms": list(study.arms),
        "setting": dataclasses.asdict(setting),
        "options": dataclasses.asdict(options),
        "evaluate_images": FLAGS.evaluate_images,
    }


def _beginning(study, runs, made):
    """Returns the first line."""
    done = len(set(runs) & made.done())
    return (
        f"{study.name}: {len(runs)} runs, of which {done} are done. More "
        "processes with the same command share the rest."
    )


def _run_again(study, setting, options):
    """Runs one row again, and prints it as CSV."""
    arm, _, seed = FLAGS.row.rpartition(":")
    _check_arm("row", arm, study)
    if not seed.isdigit():
        raise ValueError(
            f"`row` must be arm:seed. Received: row={FLAGS.row!r}."
        )
    images = _data(setting, options)
    row = engine.run(study, arm, int(seed), setting, images, options)
    print(grid.as_csv([row], engine.columns(study)), end="")


def _write_results(rows, study, path, draw):
    """Writes and prints the table, and draws the pictures."""
    table = tables.markdown(rows, study)
    files.write(path + ".md", table)
    pictures.scatter(rows, study, path + ".png")
    if draw is not None:
        draw(rows, path)
    print(f"\n{table}", flush=True)

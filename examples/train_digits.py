"""Trains robust classifiers of handwritten digits: ReLU against SiLU.

The same small network is trained adversarially with both activations, from
several seeds, and attacked with up to 50 steps and 3 restarts. Run it with
`make demo`: it needs no download, and takes about 5 minutes on two cores. After
a kill or Ctrl-C, the same command goes on.
"""

import json
import logging
import os
import shutil
import tempfile

import keras
import numpy as np
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_float("epsilon", 0.15, "Radius of the L-infinity ball.")
flags.DEFINE_integer("steps", 5, "Steps of the attack in training.")
flags.DEFINE_integer("epochs", 20, "Passes over the 1,437 training images.")
flags.DEFINE_integer("seeds", 2, "Networks trained with each activation.")
flags.DEFINE_enum("strategy", "one", keras_sat.distribution.KINDS, "Devices.")
flags.DEFINE_string("output_dir", "outputs/digits", "Folder for the results.")

ACTIVATIONS = ("relu", "silu")
BATCH_SIZE = 64
IMAGE_SIZE = 8
# The digits are gray, and so is every perturbation of them.
CHANNELS = 1


def attack(steps, scale=1.0, restarts=1):
    """Returns a PGD whose steps add up to 2.5 times the radius."""
    epsilon = scale * FLAGS.epsilon
    return keras_sat.PGD(
        epsilon=epsilon,
        step_size=2.5 * epsilon / steps,
        steps=steps,
        restarts=restarts,
    )


def build(activation):
    """Returns a residual network with 78 thousand weights, for 10 classes."""
    return keras_sat.models.residual_network(
        repeats=(1, 1, 1),
        filters=(16, 32, 64),
        activation=activation,
        num_classes=10,
        input_shape=(IMAGE_SIZE, IMAGE_SIZE, CHANNELS),
        stem="small",
        stem_filters=16,
        block="basic",
    )


def train(activation, seed, strategy, directory):
    """Trains a network, or goes on with the training that `directory` holds.

    Returns:
        `SATModel`, and the test set.
    """
    keras.utils.set_random_seed(seed)
    train_ds, test_ds = keras_sat.data.digits(BATCH_SIZE, IMAGE_SIZE, CHANNELS)
    rate = keras.optimizers.schedules.CosineDecay(
        0.1, decay_steps=FLAGS.epochs * len(train_ds)
    )
    with strategy.scope():
        model = keras_sat.SATModel(
            build(activation),
            attack=attack(FLAGS.steps),
            eval_attack=attack(10),
        )
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True)
        model.compile(optimizer, weight_decay=5e-4)
    resume = keras_sat.callbacks.Resume(
        os.path.join(directory, f"{activation}-{seed}")
    )
    model.fit(train_ds, epochs=FLAGS.epochs, callbacks=[resume])
    return model, test_ds


def measure(model, test_ds):
    """Measures the accuracies of one network.

    Returns:
        Dicts from the columns of the table, and from epsilons, to accuracies.
    """

    def robust_accuracy(eval_attack):
        logs = model.evaluate(
            test_ds, attack=eval_attack, return_dict=True, verbose=0
        )
        return logs["robust_accuracy"]

    logs = model.evaluate(test_ds, return_dict=True, verbose=0)
    row = {
        "clean": logs["clean_accuracy"],
        "PGD-10": logs["robust_accuracy"],
        "PGD-50 x 3": robust_accuracy(attack(50, restarts=3)),
    }
    curve = {0.0: row["clean"], FLAGS.epsilon: row["PGD-10"]}
    for scale in (1 / 3, 2 / 3, 4 / 3, 5 / 3):
        curve[scale * FLAGS.epsilon] = robust_accuracy(attack(10, scale))
    return row, curve


def print_table(rows):
    """Prints mean and standard deviation over the seeds."""
    columns = list(rows[ACTIVATIONS[0]][0])
    print(f"\nTest accuracy in %, epsilon {FLAGS.epsilon:g}, L-infinity: mean")
    print(f"and standard deviation over {FLAGS.seeds} seeds\n")
    print(f"{'activation':10}" + "".join(f"{name:>15}" for name in columns))
    for activation, runs in rows.items():
        percent = 100 * np.array([list(run.values()) for run in runs])
        cells = zip(percent.mean(0), percent.std(0), strict=True)
        cells = (f"{mean:.1f} ± {std:.1f}" for mean, std in cells)
        print(f"{activation:10}" + "".join(f"{cell:>15}" for cell in cells))


def draw(model, test_ds, curves):
    """Draws images of the last network, and accuracy against epsilon."""
    images, labels = next(iter(test_ds.unbatch().batch(10)))
    adversarial = attack(10)(model.model, images, labels)
    keras_sat.plots.perturbation_grid(
        images,
        adversarial,
        labels,
        *(np.argmax(model(x), axis=-1) for x in (images, adversarial)),
        path=os.path.join(FLAGS.output_dir, "perturbations.png"),
    )
    by_epsilon = {
        name: {epsilon: [run[epsilon] for run in runs] for epsilon in runs[0]}
        for name, runs in curves.items()
    }
    path = os.path.join(FLAGS.output_dir, "robustness.png")
    keras_sat.plots.robustness_curves(by_epsilon, path)


def main(_):
    """Trains and measures all networks, and writes the results."""
    # Else TensorFlow describes each step of the export.
    logging.disable(logging.INFO)
    strategy = keras_sat.strategy(FLAGS.strategy)
    checkpoints = os.path.join(FLAGS.output_dir, "checkpoints")
    if not keras_sat.distribution.is_chief(strategy):
        # All workers have to save the model, but only one of them keeps it.
        FLAGS.output_dir = tempfile.mkdtemp()
    os.makedirs(FLAGS.output_dir, exist_ok=True)
    rows = {activation: [] for activation in ACTIVATIONS}
    curves = {activation: [] for activation in ACTIVATIONS}
    for activation in ACTIVATIONS:
        for seed in range(FLAGS.seeds):
            print(f"\nActivation {activation}, seed {seed}")
            model, test_ds = train(activation, seed, strategy, checkpoints)
            row, curve = measure(model, test_ds)
            rows[activation].append(row)
            curves[activation].append(curve)
    print_table(rows)
    draw(model, test_ds, curves)
    model.save(os.path.join(FLAGS.output_dir, "model.keras"))
    # The digits fill their images: what servers get has no margin either.
    saved_model = os.path.join(FLAGS.output_dir, "saved_model")
    model.export(saved_model, overwrite=True, crop="centre")
    flag_names = ("epsilon", "steps", "epochs", "seeds")
    settings = {name: FLAGS[name].value for name in flag_names}
    results = settings | {"accuracy": rows, "accuracy_by_epsilon": curves}
    with open(os.path.join(FLAGS.output_dir, "results.json"), "w") as file:
        json.dump(results, file, indent=2)
    if keras_sat.distribution.is_chief(strategy):
        shutil.rmtree(checkpoints)
    print(f"\nWritten to {os.path.abspath(FLAGS.output_dir)}:")
    print("  " + "\n  ".join(sorted(os.listdir(FLAGS.output_dir))))


if __name__ == "__main__":
    app.run(keras_sat.interruptible(main))

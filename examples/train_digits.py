"""Trains robust classifiers of handwritten digits: ReLU against SiLU.

The same small network is trained adversarially with both activations, from
several seeds, and attacked with up to 50 steps and 3 restarts. Run it with
`make demo`; it needs no download and about 5 minutes on two cores.
"""

import json
import os

import keras
import numpy as np
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_float("epsilon", 0.15, "Radius of the L-infinity ball.")
flags.DEFINE_integer("steps", 5, "Steps of the attack in training.")
flags.DEFINE_integer("epochs", 12, "Passes over the 1,437 training images.")
flags.DEFINE_integer("seeds", 2, "Networks trained with each activation.")
flags.DEFINE_string("output_dir", "outputs/digits", "Where results go.")

ACTIVATIONS = ("relu", "silu")
BATCH_SIZE = 64
IMAGE_SIZE = 16


def attack(steps, scale=1.0, restarts=1):
    """PGD whose steps add up to 2.5 times the radius."""
    epsilon = scale * FLAGS.epsilon
    return keras_sat.PGD(
        epsilon=epsilon,
        step_size=2.5 * epsilon / steps,
        steps=steps,
        restarts=restarts,
    )


def build(activation):
    """A residual network with 78 thousand weights, for 10 classes."""
    return keras_sat.models.residual_network(
        repeats=(1, 1, 1),
        filters=(16, 32, 64),
        activation=activation,
        num_classes=10,
        input_shape=(IMAGE_SIZE, IMAGE_SIZE, 3),
        stem="small",
        stem_filters=16,
        block="basic",
    )


def train(activation, seed):
    """A trained `SATModel`, and the test images."""
    keras.utils.set_random_seed(seed)
    train_ds, test_ds = keras_sat.data.digits(BATCH_SIZE, IMAGE_SIZE)
    model = keras_sat.SATModel(
        build(activation), attack=attack(FLAGS.steps), eval_attack=attack(10)
    )
    rate = keras.optimizers.schedules.CosineDecay(
        0.1, decay_steps=FLAGS.epochs * len(train_ds)
    )
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True)
    model.compile(optimizer, weight_decay=5e-4)
    model.fit(train_ds, epochs=FLAGS.epochs)
    return model, test_ds


def robust_accuracy(model, test_ds, eval_attack):
    """Accuracy on the test images after an attack."""
    attacked = keras_sat.SATModel(model.model, eval_attack=eval_attack)
    logs = attacked.evaluate(test_ds, return_dict=True, verbose=0)
    return logs["robust_accuracy"]


def measure(model, test_ds):
    """The accuracies of the table, and those of the curve by epsilon."""
    logs = model.evaluate(test_ds, return_dict=True, verbose=0)
    clean, robust = logs["clean_accuracy"], logs["robust_accuracy"]
    strong = robust_accuracy(model, test_ds, attack(50, restarts=3))
    table = {"clean": clean, "PGD-10": robust, "PGD-50 x 3": strong}
    curve = {0.0: clean, FLAGS.epsilon: robust}
    for scale in (1 / 3, 2 / 3, 4 / 3, 5 / 3):
        weaker_or_stronger = robust_accuracy(model, test_ds, attack(10, scale))
        curve[scale * FLAGS.epsilon] = weaker_or_stronger
    return table, curve


def print_table(tables):
    """Mean and spread over the seeds, in percent."""
    columns = list(tables[ACTIVATIONS[0]][0])
    print(f"\n{'activation':12}" + "".join(f"{name:>18}" for name in columns))
    for activation, runs in tables.items():
        row = f"{activation:12}"
        for name in columns:
            values = 100 * np.array([run[name] for run in runs])
            cell = f"{values.mean():.1f} ± {np.ptp(values) / 2:.1f}"
            row += f"{cell:>18}"
        print(row)
    print("Test accuracy in percent: mean ± half the range over the seeds.")


def write_results(tables, curves, model, test_ds):
    """Numbers, pictures, and the last model in both formats."""
    folder = FLAGS.output_dir
    images, labels = next(iter(test_ds.unbatch().batch(10)))
    adversarial = attack(10)(model.model, images, labels)
    keras_sat.plots.perturbation_grid(
        images,
        adversarial,
        labels,
        *(np.argmax(model(x), axis=-1) for x in (images, adversarial)),
        path=os.path.join(folder, "adversarial.png"),
    )
    keras_sat.plots.robustness_curves(
        {
            name: {e: [run[e] for run in runs] for e in runs[0]}
            for name, runs in curves.items()
        },
        path=os.path.join(folder, "robustness.png"),
    )
    model.save(os.path.join(folder, "model.keras"))
    model.export(os.path.join(folder, "saved_model"), verbose=False)
    results = {"flags": FLAGS.flag_values_dict(), "accuracy": tables}
    with open(os.path.join(folder, "results.json"), "w") as file:
        json.dump(results, file, indent=2)
    print(f"\nWritten to {os.path.abspath(folder)}:")
    for name in sorted(os.listdir(folder)):
        print(f"  {name}")


def main(_):
    """Trains and measures all networks."""
    os.makedirs(FLAGS.output_dir, exist_ok=True)
    tables = {activation: [] for activation in ACTIVATIONS}
    curves = {activation: [] for activation in ACTIVATIONS}
    for activation in ACTIVATIONS:
        for seed in range(FLAGS.seeds):
            print(f"\nActivation {activation}, seed {seed}")
            model, test_ds = train(activation, seed)
            table, curve = measure(model, test_ds)
            tables[activation].append(table)
            curves[activation].append(curve)
    print_table(tables)
    write_results(tables, curves, model, test_ds)


if __name__ == "__main__":
    app.run(main)

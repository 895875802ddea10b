"""Shows which single-step trainings collapse, on Fashion-MNIST.

python -m benchmarks.single_step --seeds=0,1,2

A small network is trained with one step of the attack: FGSM, FGSM-RS, N-FGSM,
and FGSM with GradAlign. Catastrophic overfitting shows as a high accuracy
against the single step of FGSM, and one of nearly 0 against PGD with 50 steps,
on test images.
"""

import time

import keras
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "directory",
    "/usr/share/datasets/fashion-mnist",
    "The folder of Fashion-MNIST.",
)
flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of weights and of noise.")
flags.DEFINE_string("activation", "relu", "Activation of the network.")
flags.DEFINE_integer("epochs", 10, "Epochs.")
flags.DEFINE_integer("images", 10000, "Training images of an epoch.")
flags.DEFINE_integer("test_images", 500, "Test images that are attacked.")
flags.DEFINE_float("epsilon", 0.15, "Radius.")
flags.DEFINE_float("coefficient", 1.0, "Coefficient of GradAlign.")
flags.DEFINE_float("learning_rate", 0.003, "Highest learning rate, of Adam.")


def settings():
    """Returns the attack and the objective of each training, by name."""
    epsilon, plain = FLAGS.epsilon, keras_sat.AdversarialTraining()
    fgsm = keras_sat.FGSM(epsilon)
    return {
        "FGSM": (fgsm, plain),
        "FGSM-RS": (keras_sat.FGSMRS(epsilon), plain),
        "N-FGSM": (keras_sat.NFGSM(epsilon), plain),
        "FGSM, GradAlign": (
            fgsm,
            keras_sat.GradAlign(coefficient=FLAGS.coefficient),
        ),
    }


def network():
    """Returns a small network for gray images of 28x28 pixels."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(16, 4, 2, "same", activation=FLAGS.activation),
            keras.layers.Conv2D(32, 4, 2, "same", activation=FLAGS.activation),
            keras.layers.Flatten(),
            keras.layers.Dense(100, activation=FLAGS.activation),
            keras.layers.Dense(10),
        ]
    )


def data():
    """Returns images and labels for training and for testing."""
    parts = []
    for subset, count in (
        ("train", FLAGS.images),
        ("test", FLAGS.test_images),
    ):
        dataset = keras_sat.data.idx_folder(
            FLAGS.directory, subset, batch_size=count
        )
        parts.append(next(dataset.as_numpy_iterator()))
    return parts


def accuracies(attack, objective, seed, train, test):
    """Trains, and returns clean, single-step and PGD-50 accuracy."""
    keras.utils.set_random_seed(seed)
    model = keras_sat.SATModel(network(), attack=attack, objective=objective)
    steps = FLAGS.epochs * (len(train[0]) // 128)
    rate = keras.optimizers.schedules.CosineDecay(FLAGS.learning_rate, steps)
    model.compile(keras.optimizers.Adam(rate), keras_sat.CrossEntropy())
    model.fit(*train, 128, FLAGS.epochs, verbose=0)
    epsilon = FLAGS.epsilon
    strong = keras_sat.PGD(epsilon=epsilon, step_size=epsilon / 10, steps=50)
    robust = []
    for used in keras_sat.FGSM(epsilon), strong:
        logs = model.evaluate(
            *test, 250, verbose=0, return_dict=True, attack=used
        )
        robust.append(logs["robust_accuracy"])
    return logs["clean_accuracy"], *robust


def main(_):
    """Prints a row for each training and each seed."""
    train, test = data()
    print("| training | seed | clean | FGSM | PGD-50 | seconds |")
    print("|---|---|---|---|---|---|")
    for name, (attack, objective) in settings().items():
        for seed in map(int, FLAGS.seeds):
            start = time.perf_counter()
            found = accuracies(attack, objective, seed, train, test)
            seconds = time.perf_counter() - start
            columns = " | ".join(f"{100 * share:.1f} %" for share in found)
            row = f"| {name} | {seed} | {columns} | {seconds:.0f} |"
            print(row, flush=True)


if __name__ == "__main__":
    app.run(main)

"""The process of `evaluate.py` that runs this package."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

import keras_sat
from benchmarks import convex_network
from benchmarks import evaluation_tasks

SETTINGS = evaluation_tasks.settings()
FOLDER = pathlib.Path(SETTINGS["folder"])
# Steps that are more than any attack makes.
ALL_STEPS = np.int32(2**31 - 1)
# In how many pieces an attack is made, where they are compared with the whole;
# an evaluation makes so many, too, where a piece takes less than 2 seconds.
NUM_PIECES = 20


def fashion_mnist():
    """Returns the images and labels of the training and of the test set."""
    if SETTINGS["data"]:
        with np.load(SETTINGS["data"]) as arrays:
            names = "x_train", "y_train", "x_test", "y_test"
            data = [arrays[name] for name in names]
    else:
        train, test = keras.datasets.fashion_mnist.load_data()
        data = [*train, *test]
    for i in 0, 2:
        data[i] = data[i].reshape(-1, 28, 28, 1).astype("float32") / 255
    for i in 1, 3:
        data[i] = data[i].ravel().astype("int32")
    return data


def as_photographs(images):
    """Returns images of the size and with the channels of CIFAR-10."""
    margins = [(0, 0), (2, 2), (2, 2), (0, 0)]
    return np.repeat(np.pad(images, margins), 3, axis=-1)


def resnet18():
    """Returns a ResNet-18 of width 16, with SiLU."""
    return keras_sat.models.residual_network(
        repeats=(2, 2, 2, 2),
        filters=(16, 32, 64, 128),
        num_classes=10,
        input_shape=(32, 32, 3),
        stem="small",
        stem_filters=16,
        block="basic",
    )


def trained_resnet18(images, labels):
    """Returns the ResNet-18 after a short adversarial training."""
    keras.utils.set_random_seed(0)
    model = resnet18()
    attack = keras_sat.PGD(
        epsilon=0.1, step_size=0.1, steps=1, best_iterate=False
    )
    sat = keras_sat.SATModel(model, attack=attack)
    sat.compile(keras.optimizers.Adam(2e-3))
    images = as_photographs(images[: SETTINGS["train_images"]])
    labels = labels[: SETTINGS["train_images"]]
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    dataset = dataset.shuffle(len(labels), seed=0).batch(
        100, drop_remainder=True
    )
    sat.fit(dataset, epochs=SETTINGS["epochs"], verbose=0)
    return model


def prepare():
    """Makes the network, unless it was made before, and writes it down.

    The `.npz` file has the test images and the weights for the other process.
    """
    name = SETTINGS["network"]
    path = FOLDER / f"{name}.npz"
    if not path.exists():
        *train, images, labels = fashion_mnist()
        if name == "public":
            model = convex_network.build()
            with np.load(convex_network.PATH) as arrays:
                weights = {
                    key: arrays[key] for key in arrays if key[0].isdigit()
                }
        else:
            model = trained_resnet18(*train)
            images = as_photographs(images)
            weights = layer_weights(model)
        model.save(FOLDER / f"{name}.keras")
        np.savez(
            path,
            images=images,
            labels=labels,
            logits=np.asarray(model(images[:512], training=False)),
            **weights,
        )
    return {"weights": network().count_params()}


def layer_weights(model):
    """Returns the weights of each layer, by names for the other process."""
    weights = {}
    for layer in model.layers:
        for i, value in enumerate(layer.get_weights()):
            weights[f"{layer.name}/{i}"] = value
        if isinstance(layer, keras.layers.BatchNormalization):
            weights[f"{layer.name}/-1"] = np.array(layer.epsilon)
    return weights


def network():
    """Returns the network that was prepared."""
    path = FOLDER / f"{SETTINGS['network']}.keras"
    return keras.models.load_model(path, compile=False)


def data(count=None):
    """Returns the first test images and their labels."""
    count = count or SETTINGS["images"]
    with np.load(FOLDER / f"{SETTINGS['network']}.npz") as arrays:
        return arrays["images"][:count], arrays["labels"][:count]


def evaluate(model, pair, attacks, norm, epsilon):
    """Returns accuracies, compilations and time of an evaluation."""
    before = keras_sat.attacks.compiled_network(model).compilations

    def run():
        report = keras_sat.evaluate_robustness(
            model,
            pair,
            attacks,
            epsilon=epsilon,
            norm=norm,
            batch_size=SETTINGS["batch_size"],
            diagnose=False,
            verbose=0,
        )
        after = report.accuracy_after.values()
        return {"accuracies": [report.clean_accuracy, *after]}

    result = evaluation_tasks.timed(run)
    compilations = (
        keras_sat.attacks.compiled_network(model).compilations - before
    )
    return {**result, "compilations": compilations}


def autoattack(norm, epsilon):
    """Runs the standard version of AutoAttack."""
    return evaluate(MODEL, data(), "standard", norm, epsilon)


def pgd(norm, epsilon, steps, restarts):
    """Runs PGD with steps of a quarter of the radius."""
    attack = keras_sat.PGD(
        norm=norm,
        epsilon=epsilon,
        step_size=epsilon / 4,
        steps=steps,
        restarts=restarts,
    )
    return evaluate(MODEL, data(), attack, norm, epsilon)


def cycles(norm, epsilon, steps, count):
    """Runs PGD with all of its steps, and until its iterates repeat."""
    pair = data(count)
    attack = keras_sat.PGD(
        norm=norm, epsilon=epsilon, step_size=epsilon / 10, steps=steps
    )

    @tf.function(autograph=False, reduce_retracing=True)
    def predict(images):
        return MODEL(images, training=False)

    def all_steps():
        robust = []
        for images, labels in tf.data.Dataset.from_tensor_slices(pair).batch(
            SETTINGS["batch_size"]
        ):
            right = tf.argmax(predict(images), 1, tf.int32) == labels
            found = run(
                tf.boolean_mask(images, right), tf.boolean_mask(labels, right)
            )
            robust.append(
                tf.argmax(predict(found), 1, tf.int32) == labels[right]
            )
        number = tf.reduce_sum(tf.cast(tf.concat(robust, 0), tf.float32))
        return {"accuracies": [float(number) / len(pair[1])]}

    @tf.function(autograph=False, reduce_retracing=True)
    def run(images, labels):
        # Called like this, an attack makes all its steps.
        return attack(MODEL, images, labels, tf.constant([0, 0]))

    # The second size is compiled for all sizes.
    for size in 2, 3:
        predict(pair[0][:size])
        run(*(tf.constant(part[:size]) for part in pair))
    whole = evaluation_tasks.timed(all_steps)
    evaluate(MODEL, (pair[0][:2], pair[1][:2]), attack, norm, epsilon)
    short = evaluate(MODEL, pair, attack, norm, epsilon)
    return whole, short


def pieces(attack, norm, epsilon):
    """Runs an attack on one batch, whole and in pieces, in turns."""
    request = keras_sat.attacks.requested_attacks(attack, epsilon, norm)
    attack = request.tried(num_classes=10)[0]
    images, labels = data(SETTINGS["batch_size"])
    runs = keras_sat.attacks.Pieces(
        attack, keras_sat.attacks.compiled_network(MODEL)
    )
    seed = np.zeros(2, "int32")
    steps = np.int32(-(-attack.num_steps(num_classes=10) // NUM_PIECES))
    begun = runs.begin(
        images, labels, np.arange(len(labels), dtype="int32"), seed
    )
    runs.advance(begun, seed, np.int32(1))

    def whole():
        runs.advance(begun, seed, ALL_STEPS)
        return {}

    def in_pieces():
        state = begun
        while not np.all(state.done):
            state = tf.nest.map_structure(np.asarray, state)
            state = runs.advance(state, seed, steps)
        return {}

    rounds = [
        (evaluation_tasks.timed(whole), evaluation_tasks.timed(in_pieces))
        for _ in range(3)
    ]
    return [
        min(results, key=lambda result: result["processor"])
        for results in zip(*rounds, strict=True)
    ]


def memory(norm, epsilon, count):
    """Evaluates a dataset of so many images with a cheap attack."""
    # The dataset itself is as large in every case.
    images, labels = data(10_000)

    def run():
        attack = keras_sat.PGD(
            norm=norm, epsilon=epsilon, step_size=epsilon / 2, steps=3
        )
        dataset = tf.data.Dataset.from_tensor_slices((images, labels))
        dataset = dataset.take(count).batch(100)
        return evaluate(MODEL, dataset, attack, norm, epsilon)

    return run()


if __name__ == "__main__":
    evaluation_tasks.use_cores(SETTINGS["threads"])
    tf.config.threading.set_intra_op_parallelism_threads(SETTINGS["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(SETTINGS["threads"])
    tf.config.experimental.enable_tensor_float_32_execution(False)
    MODEL = None
    if (FOLDER / f"{SETTINGS['network']}.keras").exists():
        MODEL = network()
    evaluation_tasks.serve(
        {
            "prepare": prepare,
            "autoattack": autoattack,
            "pgd": pgd,
            "cycles": cycles,
            "pieces": pieces,
            "memory": memory,
        }
    )

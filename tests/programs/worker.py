"""One of several workers: run by tests, once for each entry of `TF_CONFIG`.

Without `TF_CONFIG`, the single process that they are compared with.
"""

import argparse
import json
import os

import keras
import numpy as np
import tensorflow as tf

import keras_sat

parser = argparse.ArgumentParser()
parser.add_argument("--path")
parser.add_argument("--directory")
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--save_freq", type=int, default=2)
parser.add_argument("--steps", type=int, default=2)
parser.add_argument("--only_fit", action="store_true")
parser.add_argument("--jit_compile", action="store_true")
parser.add_argument("--own_statistics", action="store_true")
parser.add_argument("--clipnorm", type=float)
FLAGS = parser.parse_args()
# Without signs, which rounding changes where a gradient is next to 0.
WEAK = keras_sat.PGD(
    epsilon=0.3,
    step_size=0.2,
    steps=FLAGS.steps,
    norm="l2",
    random_start=False,
)


def data(rest=0):
    """Returns four batches of noise, and one of the rest."""
    generator = np.random.default_rng(0)
    images = generator.uniform(size=(32 + rest, 8, 8, 3)).astype("float32")
    parts = images, generator.integers(0, 5, 32 + rest)
    dataset = tf.data.Dataset.from_tensor_slices(parts)
    return dataset.batch(8, drop_remainder=not rest)


def network():
    """Returns a small network, the same on all workers."""
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 3))
    h = keras.layers.Conv2D(4, 3, activation="silu")(x)
    h = keras.layers.BatchNormalization(
        momentum=0.9, synchronized=not FLAGS.own_statistics
    )(h)
    h = keras.layers.GlobalAveragePooling2D()(h)
    return keras.Model(x, keras.layers.Dense(5)(h))


def plain_keras():
    """Returns the message of Keras itself on several workers."""
    model = network()
    model.compile("sgd", "mse")
    try:
        model.fit(data().map(lambda x, y: (x, tf.one_hot(y, 5))), verbose=0)
    except (ValueError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def refusal(model):
    """Returns the message about a file that all workers would write."""
    try:
        keras_sat.evaluate_robustness(model, data(), state_path="state")
    except ValueError as error:
        return str(error)
    return "no error"


class Told(keras.callbacks.Callback):
    """Tells the test, once an epoch, that training is under way."""

    def on_train_batch_end(self, batch, logs=None):
        """Prints after the third step."""
        if batch == 2:
            print("training", flush=True)


def main():
    """Trains, evaluates and predicts, and saves the results."""
    # Without workers, the strategy of a single device.
    strategy = keras_sat.strategy()
    with strategy.scope():
        inner = network()
        model = keras_sat.SATModel(inner, attack=WEAK, eval_attack=WEAK)
        optimizer = keras.optimizers.SGD(
            0.1, momentum=0.9, nesterov=True, clipnorm=FLAGS.clipnorm
        )
        model.compile(
            optimizer, weight_decay=1e-4, jit_compile=FLAGS.jit_compile
        )
    callbacks = [Told()]
    if FLAGS.directory:
        callbacks.append(
            keras_sat.callbacks.Resume(FLAGS.directory, FLAGS.save_freq)
        )
    history = model.fit(
        data(),
        epochs=FLAGS.epochs,
        validation_data=None if FLAGS.only_fit else data(rest=1),
        callbacks=callbacks,
        verbose=0,
    ).history
    results = {f"weight {i}": w for i, w in enumerate(inner.get_weights())}
    results |= {f"fit {name}": values for name, values in history.items()}
    found = {}
    if not FLAGS.only_fit:
        logs = model.evaluate(data(rest=1), verbose=0, return_dict=True)
        results |= {f"evaluate {name}": value for name, value in logs.items()}
        images = data(rest=1).map(lambda x, _: x)
        results["predict"] = model.predict(images, verbose=0)
        report = keras_sat.evaluate_robustness(
            model, data(rest=1), [WEAK], diagnose=False, verbose=0
        )
        results["outcomes"] = report.outcomes
        if "TF_CONFIG" in os.environ:
            with strategy.scope():
                found["keras"] = plain_keras()
            found["state_path"] = refusal(model)
    np.savez(FLAGS.path, **{k: np.array(v) for k, v in results.items()})
    print(json.dumps(found))


if __name__ == "__main__":
    main()

"""Trains with `Resume`, and saves the weights: run, and killed, by tests."""

import argparse
import os
import signal

import keras
import numpy as np
import tensorflow as tf

import keras_sat

parser = argparse.ArgumentParser()
parser.add_argument("--directory")
parser.add_argument("--path")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--save_freq", type=int, default=2)
parser.add_argument("--kill_at_step", type=int, default=0)
parser.add_argument("--kill_in_write", type=int, default=0)
parser.add_argument("--folder")
parser.add_argument("--steps_per_epoch", type=int)
parser.add_argument("--steps_per_execution", type=int, default=1)
parser.add_argument("--signal", default="SIGKILL")
FLAGS = parser.parse_args()


def end():
    """Ends this process as a machine that is taken away would."""
    os.kill(os.getpid(), getattr(signal, FLAGS.signal))


class Kill(keras.callbacks.Callback):
    """Ends the process after a number of steps."""

    steps = 0

    def on_train_batch_begin(self, batch, logs=None):
        """Counts the steps."""
        self.steps += 1
        if self.steps == FLAGS.kill_at_step:
            end()


def kill_in_write():
    """Ends the process in the middle of a checkpoint."""
    savez, count = np.savez, 0

    def partly(file, **arrays):
        nonlocal count
        count += 1
        if count == FLAGS.kill_in_write:
            some = dict(list(arrays.items())[: len(arrays) // 2])
            savez(file, **some)
            file.flush()
            end()
        savez(file, **arrays)

    np.savez = partly


def build():
    """Returns a network with statistics, seeds and averages."""
    x = keras.Input((8, 8, 3))
    h = keras.layers.Conv2D(4, 3)(x)
    h = keras.layers.BatchNormalization()(h)
    h = keras.layers.Activation("silu")(h)
    h = keras.layers.GlobalAveragePooling2D()(h)
    h = keras.layers.Dropout(0.2)(h)
    model = keras_sat.SATModel(keras.Model(x, keras.layers.Dense(5)(h)))
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True)
    model.compile(
        optimizer,
        weight_decay=1e-3,
        steps_per_execution=FLAGS.steps_per_execution,
    )
    return model


def noise():
    """Returns six batches of noise, which a seed shuffles."""
    generator = np.random.default_rng(0)
    images = generator.uniform(size=(48, 8, 8, 3)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices(
        (images, generator.integers(0, 5, 48))
    )
    return data.shuffle(48, seed=1).batch(8).prefetch(2)


def main():
    """Trains for epochs of six steps, and is killed if asked for."""
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    if FLAGS.kill_in_write:
        kill_in_write()
    model = build()
    data = noise()
    if FLAGS.folder:
        data = keras_sat.data.image_folder(
            FLAGS.folder, training=True, batch_size=4, image_size=8
        )
    if FLAGS.steps_per_epoch:
        data = data.repeat()
    resume = keras_sat.callbacks.Resume(FLAGS.directory, FLAGS.save_freq)
    history = model.fit(
        data,
        epochs=FLAGS.epochs,
        steps_per_epoch=FLAGS.steps_per_epoch,
        callbacks=[Kill(), resume],
        verbose=0,
    ).history
    if FLAGS.path:
        last = {name: values[-1] for name, values in history.items()}
        np.savez(FLAGS.path, *model.get_weights(), **last)


if __name__ == "__main__":
    main()

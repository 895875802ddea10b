r"""Measures how much strength an attack loses to stale batch normalization.

apt-get install dataset-fashion-mnist  # or get the four files from elsewhere
python benchmarks/stale_statistics.py \
    --data_dir=/usr/share/datasets/fashion-mnist

Trains a small network from scratch on Fashion-MNIST in three ways: with Keras's
momentum of batch normalization; with the momentum of the networks of this
package; and with Keras's, while the attack uses the statistics of the batch.
Prints a line for each: accuracy in % on the attacked batches of the last third
of `fit`, on attacked test images in `evaluate`, and on clean test images.
`evaluate` always uses the moving statistics. The numbers are means over the
seeds.
"""

import keras
import numpy as np
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder of Fashion-MNIST's four files.")
flags.DEFINE_integer("steps", 120, "Batches to train on.")
flags.DEFINE_integer("batch_size", 256, "Images in a batch.")
flags.DEFINE_integer("test_images", 1000, "Images to evaluate on.")
flags.DEFINE_integer("attack_steps", 3, "Steps of the attack.")
flags.DEFINE_float("epsilon", 0.1, "Radius, L-infinity.")
flags.DEFINE_float("learning_rate", 0.1, "Learning rate of SGD with momentum.")
flags.DEFINE_integer("seeds", 3, "Number of trainings of each kind.")

SETTINGS = ((0.99, "moving"), (0.9, "moving"), (0.99, "batch"))


def read(subset, count):
    """Reads images in `[0, 1]` and labels, the first ones of a part."""
    dataset = keras_sat.data.idx_folder(
        FLAGS.data_dir, subset, held_out=0, batch_size=count
    )
    images, labels = next(dataset.as_numpy_iterator())
    return images.astype("float32") / 255, labels.astype("int32")


def build(momentum):
    """Returns a network with batch normalization of some momentum."""
    image = x = keras.Input((28, 28, 1))
    for filters in (16, 32, 64):
        x = keras.layers.Conv2D(filters, 3, strides=2, use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=momentum)(x)
        x = keras.layers.Activation("silu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(10)(x))


def train(momentum, statistics, seed, train_data, test_data):
    """Returns robust accuracy in `fit`, and robust and clean in `evaluate`."""
    keras.utils.set_random_seed(seed)
    attack = keras_sat.PGD(
        epsilon=FLAGS.epsilon,
        step_size=FLAGS.epsilon / 2,
        steps=FLAGS.attack_steps,
    )
    model = keras_sat.SATModel(
        build(momentum), attack, attack, attack_statistics=statistics
    )
    model.compile(
        keras.optimizers.SGD(FLAGS.learning_rate, momentum=0.9, nesterov=True)
    )
    images, labels = train_data
    order = np.random.default_rng(seed).permutation(len(images))
    order = order[: FLAGS.steps * FLAGS.batch_size]
    for part in np.array_split(order, 3):
        history = model.fit(
            images[part], labels[part], FLAGS.batch_size, verbose=0
        ).history
    logs = model.evaluate(
        *test_data, batch_size=FLAGS.batch_size, verbose=0, return_dict=True
    )
    return (
        history["robust_accuracy"][0],
        logs["robust_accuracy"],
        logs["clean_accuracy"],
    )


def main(_):
    """Prints a line for each way to train."""
    train_data, test_data = (
        read("train", 60_000),
        read("test", FLAGS.test_images),
    )
    print("momentum  attack by        fit  evaluate     clean")
    for momentum, statistics in SETTINGS:
        results = [
            train(momentum, statistics, seed, train_data, test_data)
            for seed in range(FLAGS.seeds)
        ]
        means = "".join(f"{x:10.1f}" for x in 100 * np.mean(results, axis=0))
        print(f"{momentum:8}  {statistics:10}{means}", flush=True)


if __name__ == "__main__":
    flags.mark_flag_as_required("data_dir")
    app.run(main)

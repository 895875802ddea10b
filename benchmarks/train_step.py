"""Images per second of adversarial training, by activation and attack steps.

python benchmarks/train_step.py --activations=relu,silu --steps=0,1,3

All settings take turns in one process, so that a busy machine slows all alike;
the table shows the median over the rounds. Zero steps is training on clean
images, by plain Keras.
"""

import itertools
import statistics
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_list("activations", ["relu", "silu"], "Activations to compare.")
flags.DEFINE_list("steps", ["0", "1", "3"], "Steps of the training attack.")
flags.DEFINE_integer("depth", 18, "Depth of the ResNet.")
flags.DEFINE_integer("image_size", 32, "Height and width of the images.")
flags.DEFINE_integer("batch_size", 32, "Images in a batch.")
flags.DEFINE_integer("batches", 4, "Batches in a round.")
flags.DEFINE_integer("rounds", 3, "Rounds after the first, which compiles.")


def build(activation, steps):
    """A compiled model; with 0 steps, without an attack."""
    shape = (FLAGS.image_size, FLAGS.image_size, 3)
    network = keras_sat.resnet(
        FLAGS.depth, activation, 10, input_shape=shape, stem="small"
    )
    if not steps:
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
        loss = keras_sat.CrossEntropy(label_smoothing=0.1)
        network.compile(optimizer, loss)
        return network
    attack = keras_sat.PGD(step_size=4 / 255 / steps, steps=steps)
    return keras_sat.SATModel(network, attack=attack)


def main(_):
    """Prints a line for each setting."""
    shape = (FLAGS.image_size, FLAGS.image_size, 3)
    count = FLAGS.batch_size * FLAGS.batches
    images = np.random.default_rng(0).uniform(size=(count, *shape))
    data = tf.data.Dataset.from_tensor_slices(
        (images.astype("float32"), np.arange(count) % 10)
    ).batch(FLAGS.batch_size)
    settings = list(itertools.product(FLAGS.activations, map(int, FLAGS.steps)))
    models = {setting: build(*setting) for setting in settings}
    seconds = {setting: [] for setting in settings}
    for _ in range(FLAGS.rounds + 1):
        for setting, model in models.items():
            start = time.perf_counter()
            model.fit(data, verbose=0, shuffle=False)
            seconds[setting].append(time.perf_counter() - start)
    print(f"{'activation':12}{'steps':>6}{'images/s':>10}")
    for (activation, steps), measured in seconds.items():
        speed = count / statistics.median(measured[1:])
        print(f"{activation:12}{steps:6}{speed:10.1f}")


if __name__ == "__main__":
    app.run(main)

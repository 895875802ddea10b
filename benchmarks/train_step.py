"""Measures images per second of adversarial training in several settings.

python benchmarks/train_step.py --activations=relu,silu --steps=0,1,3

The settings are activations, steps of the attack, and XLA. They take turns in
one process, so that a busy machine slows all of them alike; the table shows
medians over the rounds, by the clock and by processor time, which other work
and limits on the processor move less. Zero steps means training on clean
images, by plain Keras. On a GPU, with the network of the paper:

python benchmarks/train_step.py --depth=50 --image_size=224 --stem=imagenet \
    --batch_size=128 --precision=mixed_bfloat16 --xla=False,True
"""

import itertools
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
flags.DEFINE_enum(
    "stem", "small", ["small", "imagenet"], "Kind of the first layers."
)
flags.DEFINE_string("precision", "float32", "Policy, such as mixed_bfloat16.")
flags.DEFINE_list("xla", ["False"], "Whether to compile with XLA.")
flags.DEFINE_integer("batch_size", 32, "Images in a batch.")
flags.DEFINE_integer("batches", 4, "Batches in a round.")
flags.DEFINE_integer("rounds", 3, "Rounds after the first, which compiles.")


def build(activation, steps, jit_compile):
    """Returns a compiled model; with 0 steps, one without an attack."""
    shape = (FLAGS.image_size, FLAGS.image_size, 3)
    network = keras_sat.resnet(
        FLAGS.depth, activation, 10, input_shape=shape, stem=FLAGS.stem
    )
    if not steps:
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
        loss = keras_sat.CrossEntropy(label_smoothing=0.1)
        network.compile(optimizer, loss, jit_compile=jit_compile)
        return network
    attack = keras_sat.PGD(step_size=4 / 255 / steps, steps=steps)
    model = keras_sat.SATModel(network, attack=attack)
    model.compile(jit_compile=jit_compile)
    return model


def main(_):
    """Prints a line for each setting."""
    keras.config.set_dtype_policy(FLAGS.precision)
    shape = (FLAGS.image_size, FLAGS.image_size, 3)
    count = FLAGS.batch_size * FLAGS.batches
    images = np.random.default_rng(0).uniform(size=(count, *shape))
    data = tf.data.Dataset.from_tensor_slices(
        (images.astype("float32"), np.arange(count) % 10)
    ).batch(FLAGS.batch_size)
    xla = [{"True": True, "False": False}[text] for text in FLAGS.xla]
    settings = list(
        itertools.product(FLAGS.activations, map(int, FLAGS.steps), xla)
    )
    models = {setting: build(*setting) for setting in settings}
    seconds = {setting: [] for setting in settings}
    for _ in range(FLAGS.rounds + 1):
        for setting, model in models.items():
            start = time.perf_counter(), time.process_time()
            model.fit(data, verbose=0, shuffle=False)
            end = time.perf_counter(), time.process_time()
            seconds[setting].append(np.subtract(end, start))
    heads = f"{'images/s':>10}{'ms of processor/image':>23}"
    print(f"{'activation':12}{'steps':>6}{'XLA':>7}{heads}")
    for (activation, steps, jit_compile), measured in seconds.items():
        wall, processor = np.median(measured[1:], axis=0) / count
        numbers = f"{1 / wall:10.1f}{1e3 * processor:23.2f}"
        print(f"{activation:12}{steps:6}{str(jit_compile):>7}{numbers}")


if __name__ == "__main__":
    app.run(main)

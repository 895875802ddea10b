"""Attacks by the statistics of the batch on two replicas: run by tests.

Prints what the replicas found, and what one device finds for each half.
"""

import json

import keras
import numpy as np
import tensorflow as tf

import keras_sat
from keras_sat.predictions.inference import inference
from keras_sat.training import stale_statistics

ATTACK = keras_sat.PGD(
    epsilon=0.05, step_size=0.02, steps=2, random_start=False
)
IMAGES = np.random.default_rng(0).uniform(size=(8, 8, 8, 3)).astype("float32")
LABELS = np.arange(8) % 5
SEED = (1, 2)


def network(synchronized):
    """A small network, always the same."""
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 3))
    h = keras.layers.Conv2D(4, 3)(x)
    h = keras.layers.BatchNormalization(
        momentum=0.9, synchronized=synchronized
    )(h)
    h = keras.layers.Activation("silu")(h)
    h = keras.layers.GlobalAveragePooling2D()(h)
    return keras.Model(x, keras.layers.Dense(5)(h))


def halves(array):
    """A value for each replica."""
    parts = np.split(array, 2)
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(parts[context.replica_id_in_sync_group])
    )


def run(function, *arguments):
    """What `function` returns on each replica."""
    values = tf.function(strategy.run)(function, args=arguments)
    local = strategy.experimental_local_results
    return [np.asarray(value) for value in local(values)]


def attacked(synchronized, jit_compile):
    """Adversarial images of each replica; moving means after a step."""
    inner = network(synchronized)
    model = keras_sat.SATModel(inner, ATTACK, attack_statistics="batch")
    model.compile(jit_compile=jit_compile)

    def attack(images, labels):
        predict = inference(inner, "batch")
        compiled = model.with_xla(lambda *batch: ATTACK(predict, *batch))
        return compiled(images, labels, SEED)

    adversarial = run(attack, halves(IMAGES), halves(LABELS))
    data = tf.data.Dataset.from_tensors((IMAGES, LABELS))
    model.fit(data, verbose=0)
    mean = strategy.experimental_local_results(
        inner.layers[2].moving_mean.value
    )
    return {
        "adversarial": np.concatenate(adversarial).tolist(),
        "means": [np.asarray(value).tolist() for value in mean],
    }


def by_hand():
    """The same on one device, half by half."""
    twin = network(False)
    adversarial = np.concatenate(
        [
            ATTACK(inference(twin, "batch"), images, labels, SEED)
            for images, labels in zip(
                np.split(IMAGES, 2), np.split(LABELS, 2), strict=True
            )
        ]
    )
    mean = 0.1 * np.mean(twin.layers[1](adversarial), axis=(0, 1, 2))
    return {"adversarial": adversarial.tolist(), "means": [mean.tolist()] * 2}


def counted():
    """What two replicas count, and one device for each half."""
    with strategy.scope():
        model = keras_sat.SATModel(network(False))
    labels = np.argmax(np.asarray(twin_logits("moving")), axis=1)

    def count(images, labels):
        counts = model.staleness.measure(tf.constant(True), images, labels)
        model.staleness.add(counts)
        return counts

    run(count, halves(IMAGES), halves(labels))
    model.staleness._was_large = True
    warnings = []
    stale_statistics.logging.warning = lambda _, text: warnings.append(text)
    stale_statistics.FEWEST_IMAGES = 8
    stale_statistics.LARGEST_GAP = -2
    model.staleness._judge()
    right = [
        float(np.sum(np.argmax(twin_logits(by), axis=1) == labels))
        for by in ("batch", "moving")
    ]
    return model.staleness._judged.tolist(), [8.0, *right], warnings


def twin_logits(statistics):
    """Logits of each half, on one device."""
    predict = inference(network(False), statistics)
    return np.concatenate([predict(half) for half in np.split(IMAGES, 2)])


cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
names = [d.name for d in tf.config.list_logical_devices("CPU")]
expected = by_hand()
strategy = keras_sat.strategy(devices=names)
found = {}
for synchronized in (False, True):
    with strategy.scope():
        # A step that replicas do not interrupt is compiled as a whole.
        found[f"{synchronized=}"] = attacked(
            synchronized, jit_compile=not synchronized
        )
print(json.dumps({"found": found, "expected": expected, "counted": counted()}))

"""Trains on some logical CPU devices, and saves the results: run by tests.

All in one process with one strategy: several would collide.
"""

import argparse
import dataclasses
import json
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

import keras_sat
from keras_sat.attacks import norms

parser = argparse.ArgumentParser()
parser.add_argument("--path", help="Where weights go, to be compared.")
parser.add_argument("--devices", type=int, default=1)
parser.add_argument("--policy", default="mixed_bfloat16")
FLAGS = parser.parse_args()
# Without signs, which rounding changes where a gradient is next to 0.
WEAK = keras_sat.PGD(
    epsilon=0.3, step_size=0.2, steps=2, norm="l2", random_start=False
)


def fixed_noise(self, images, radius, seed):
    """Noise that depends on the images alone, in place of `L2.random`."""
    del self, seed
    return radius * tf.sin(50 * images) / 10


class FromASide(keras_sat.PGD):
    """Starts off the clean images, where the gradient of TRADES is zero."""

    def start(self, images, seed):
        return images + 0.02 * tf.sign(images - 0.5)


def network(normalized=True, synchronized=True):
    """Returns a small network, always the same."""
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 3))
    h = keras.layers.Conv2D(4, 3, activation="silu")(x)
    if normalized:
        # The paper's builders have this option.
        h = keras.layers.BatchNormalization(
            momentum=0.9, synchronized=synchronized
        )(h)
    h = keras.layers.GlobalAveragePooling2D()(h)
    return keras.Model(x, keras.layers.Dense(5, dtype="float32")(h))


def data(batches, batch_size=8, rest=0, drop_remainder=False):
    """Returns batches of noise, the last one smaller if there is a rest."""
    count = batches * batch_size + rest
    generator = np.random.default_rng(0)
    images = generator.uniform(size=(count, 8, 8, 3)).astype("float32")
    parts = images, np.arange(count) % 5
    dataset = tf.data.Dataset.from_tensor_slices(parts)
    return dataset.batch(batch_size, drop_remainder=drop_remainder)


def train(objective, jit_compile, normalized=True, **options):
    """Returns weights and logs of five steps, and logs of an evaluation."""
    model = keras_sat.SATModel(
        network(normalized),
        attack=FromASide(**dataclasses.asdict(WEAK)),
        eval_attack=WEAK,
        objective=objective,
    )
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9, **options),
        weight_decay=1e-3,
        jit_compile=jit_compile,
        metrics=["sparse_categorical_accuracy"],
    )
    # Replicas draw noise of their own.
    with mock.patch.object(norms.L2, "random", fixed_noise):
        history = model.fit(data(5, drop_remainder=True), verbose=0).history
    # The one image of the last batch is for one replica.
    rest = data(2, rest=1)
    logs = model.evaluate(rest, return_dict=True, verbose=0)
    results = {f"weight {i}": w for i, w in enumerate(model.get_weights())}
    results |= {f"fit {name}": v for name, v in history.items()}
    results |= {f"evaluate {name}": v for name, v in logs.items()}
    predicted = model.predict(rest.map(lambda x, _: x), verbose=0)
    return results | {"predict": predicted}


def settings():
    """Yields names, arguments and options of `train`, few on many devices."""
    objectives = keras_sat.AdversarialTraining(), keras_sat.TRADES(beta=2.0)
    for objective in objectives:
        for jit_compile in (False, True):
            for normalized in (False, True):
                if FLAGS.devices > 2 and (jit_compile or not normalized):
                    continue
                if normalized or jit_compile:
                    name = f"{objective} {jit_compile} {normalized}"
                    yield name, (objective, jit_compile, normalized), {}
    for objective, *arguments in (
        (keras_sat.MART(beta=2.0), True, False),
        (keras_sat.AWP(objective=objectives[1], gamma=0.1), True, False),
        (keras_sat.AWP(objective=objectives[0], gamma=0.1), False, True),
        # Its statistics are those of the images on one replica.
        (keras_sat.GradAlign(coefficient=0.5), True, False),
        (keras_sat.FreeTraining(replays=2), True, False),
    ):
        if FLAGS.devices > 2:
            break
        yield f"{objective} {arguments}", (objective, *arguments), {}
    for options in (
        {"use_ema": True, "ema_momentum": 0.9},
        {"global_clipnorm": 0.1},
        {"clipnorm": 0.1},
        {"clipvalue": 0.01},
    ):
        if FLAGS.devices > 2:
            break
        yield f"{options}", (objectives[0], False), options


def finds():
    """Returns facts that only several replicas can get wrong."""
    return {
        "noise": noise(),
        "statistics": statistics(),
        "infinity": infinity(),
        "mixed_precision": mixed_precision(),
        "rest": rest_in_training(),
        "refused": refusals(),
        "late": late_batch(),
    }


def replica_values(value):
    """Returns the values of a variable on each replica."""
    local = tf.distribute.get_strategy().experimental_local_results
    return [np.asarray(v) for v in local(value)]


def noise():
    """Returns random starts on each replica, from three seeds."""
    images, labels = next(iter(data(1)))
    images = tf.zeros_like(images) + 0.5
    starts = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        model = keras_sat.SATModel(network(), attack=WEAK)
        keras.utils.set_random_seed(seed)
        model.seeds = keras.random.SeedGenerator()

        def start(model=model):
            attack = WEAK.replace(random_start=True, step_size=1e-9)
            seed = model.next_seed(model.seeds)
            return attack(model.model, images, labels, seed)

        run = tf.function(lambda f=start: tf.distribute.get_strategy().run(f))
        starts.append([v.tolist() for v in replica_values(run())])
    return [np.array(s)[:, 0, 0, 0, 0].tolist() for s in starts]


def statistics():
    """Returns moving means on each replica, and the mean over the halves."""
    inner = network(synchronized=False)
    model = keras_sat.SATModel(inner, attack=WEAK)
    conv = inner.layers[1]
    images = WEAK(inner, *next(iter(data(1))))
    halves = np.split(np.asarray(conv(images)), FLAGS.devices)
    expected = 0.1 * np.mean([h.mean((0, 1, 2)) for h in halves], axis=0)
    model.fit(data(1), verbose=0)
    mean = inner.layers[2].moving_mean.value
    return {
        "found": [v.tolist() for v in replica_values(mean)],
        "expected": expected.tolist(),
    }


def infinity():
    """Compares weights and loss scales around a step with an infinity."""
    images, labels = next(iter(data(1)))
    weights = tf.constant([1.0] * 7 + [3e38])
    bad = tf.data.Dataset.from_tensors((images, labels, weights))
    keras.config.set_dtype_policy("mixed_float16")
    model = keras_sat.SATModel(network(), attack=WEAK)
    model.compile(keras.optimizers.SGD(0.1))
    keras.config.set_dtype_policy("float32")
    model.fit(data(1), verbose=0)
    scale = model.optimizer.dynamic_scale
    before = [w.copy() for w in model.get_weights()], float(scale.numpy())
    model.fit(bad, verbose=0)
    after = model.get_weights(), float(scale.numpy())
    same = [
        bool(np.array_equal(a, b))
        for v, a, b in zip(model.weights, before[0], after[0], strict=True)
        if v.trainable
    ]
    return {"same": same, "scales": [before[1], after[1]]}


def mixed_precision():
    """Returns the first and the last loss of training in mixed precision."""
    keras.config.set_dtype_policy(FLAGS.policy)
    model = keras_sat.SATModel(network(), attack=WEAK)
    keras.config.set_dtype_policy("float32")
    losses = model.fit(data(2), epochs=10, verbose=0).history["loss"]
    return [losses[0], losses[-1]]


def rest_in_training():
    """Returns which weights are the same with a last batch of one image."""
    results = []
    for rest in (0, 1):
        model = keras_sat.SATModel(network(synchronized=False), attack=WEAK)
        model.fit(data(2, rest=rest), epochs=2, verbose=0)
        results.append(model.get_weights())
    return [bool(np.array_equal(a, b)) for a, b in zip(*results, strict=True)]


def message(function, *arguments, **options):
    """Returns the message of an error."""
    try:
        function(*arguments, **options)
    except (ValueError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def refusals():
    """Returns the messages of errors about options and sizes of batches."""
    model = keras_sat.SATModel(network())
    images, labels = next(iter(data(1)))

    def compiled(**options):
        model.compile(keras.optimizers.SGD(0.1, **options))

    return {
        "accumulation": message(compiled, gradient_accumulation_steps=2),
        "overwriting": message(
            compiled, use_ema=True, ema_overwrite_frequency=2
        ),
        "batch": message(model.fit, data(2, batch_size=7), verbose=0),
        "arrays": message(
            model.fit, images.numpy()[:7], labels.numpy()[:7], verbose=0
        ),
    }


def late_batch():
    """Returns the message of the error about the second batch."""
    late = data(1).concatenate(data(1).map(lambda x, y: (x / 0.0, y)))
    return message(keras_sat.SATModel(network()).fit, late, verbose=0)


def distributed():
    """Returns losses with data that Keras, or a strategy, distributes."""
    halves = data(2, batch_size=4)
    losses = []
    for dataset in (
        data(1),
        strategy.experimental_distribute_dataset(data(1)),
        strategy.distribute_datasets_from_function(lambda _: halves),
    ):
        with strategy.scope():
            model = keras_sat.SATModel(network(), attack=WEAK)
        losses += model.fit(dataset, verbose=0).history["loss"]
    return losses


def outside():
    """Returns the messages about parts that were not built in the scope."""
    inner = network()
    metric = keras.metrics.SparseCategoricalAccuracy()
    optimizer = keras.optimizers.Adam(0.1)
    with strategy.scope():
        wrong_model = message(keras_sat.SATModel, inner)
        model = keras_sat.SATModel(network(), eval_attack=WEAK)
        later = keras_sat.SATModel(network())
    messages = {
        "model": wrong_model,
        "SATModel": message(keras_sat.SATModel, later.model),
        "optimizer": message(model.compile, optimizer),
        "metrics": message(model.compile, metrics=[metric]),
    }
    # Nothing is lost by an attempt.
    model.fit(data(2), verbose=0)
    return messages


def of_another_strategy():
    """Returns the messages about data and the scope of another strategy."""
    single = tf.distribute.OneDeviceStrategy(names[0])
    foreign = single.experimental_distribute_dataset(data(2))
    images = data(2).map(lambda images, _: images)
    foreign_images = single.experimental_distribute_dataset(images)
    with strategy.scope():
        model = keras_sat.SATModel(network(), eval_attack=WEAK)
    in_data = {
        "fit": message(model.fit, foreign, verbose=0),
        "evaluate": message(model.evaluate, foreign, verbose=0),
        "predict": message(model.predict, foreign_images),
    }
    with single.scope():
        in_scope = {
            "fit": message(model.fit, data(2), verbose=0),
            "evaluate": message(model.evaluate, data(2), verbose=0),
            "predict": message(model.predict, images, verbose=0),
            "evaluate_robustness": message(
                keras_sat.evaluate_robustness, model, data(2), WEAK, verbose=0
            ),
        }
    # Nothing is lost by an attempt.
    model.fit(data(2), verbose=0)
    return {
        "data of another strategy": in_data,
        "scope of another strategy": in_scope,
    }


cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * FLAGS.devices
)
names = [d.name for d in tf.config.list_logical_devices("CPU")]
strategy = keras_sat.strategy("one")
if FLAGS.devices > 1:
    strategy = keras_sat.strategy(devices=names)
if FLAGS.path:
    with strategy.scope():
        arrays = {
            f"{name}: {part}": np.array(value)
            for name, arguments, options in settings()
            for part, value in train(*arguments, **options).items()
        }
    np.savez(FLAGS.path, **arrays)
else:
    with strategy.scope():
        found = finds()
    found |= {
        "distributed": distributed(),
        "built outside": outside(),
    }
    found |= of_another_strategy()
    print(json.dumps(found))

"""Trains averages on two logical CPU devices: run by tests."""

import json
import os
import tempfile

import keras
import numpy as np
import tensorflow as tf

import keras_sat


def build():
    """Returns a model with statistics, noise and averages."""
    x = keras.Input((8, 8, 3))
    h = keras.layers.BatchNormalization(momentum=0.9)(x)
    h = keras.layers.GlobalAveragePooling2D()(h)
    h = keras.layers.Dropout(0.2)(h)
    model = keras_sat.SATModel(
        keras.Model(x, keras.layers.Dense(5)(h)),
        eval_attack=keras_sat.FGSM(epsilon=0.05),
    )
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    return model


def data():
    """Returns two batches of noise."""
    images = np.random.default_rng(0).uniform(size=(16, 8, 8, 3))
    parts = images.astype("float32"), np.arange(16) % 5
    return tf.data.Dataset.from_tensor_slices(parts).batch(8)


def restored(model):
    """Returns the losses of validation, and of what is restored at the end."""
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda i: -3.0 if i else 0.01),
        keras.callbacks.EarlyStopping(restore_best_weights=True, patience=1),
    ]
    history = model.fit(
        data(),
        epochs=3,
        validation_data=data(),
        callbacks=callbacks,
        verbose=0,
    ).history["val_loss"]
    found = model.evaluate(data(), verbose=0, return_dict=True)["loss"]
    return history, found


def loaded(model):
    """Returns whether loaded models train on like the one that was saved."""
    others = [build()]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.weights.h5")
        model.save_weights(path)
        others[0].load_weights(path)
        path = os.path.join(folder, "a.keras")
        model.save(path)
        others.append(keras_sat.load_model(path))
    states = []
    for one in (model, *others):
        one.optimizer.learning_rate = 0.1
        one.fit(data(), verbose=0)
        variables = [*one.variables, *one.optimizer.variables]
        states.append([np.asarray(v) for v in variables])
    return [
        all(np.array_equal(a, b) for a, b in zip(states[0], s, strict=True))
        for s in states[1:]
    ]


tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)
tf.config.experimental.enable_op_determinism()
keras.utils.set_random_seed(0)
names = [d.name for d in tf.config.list_logical_devices("CPU")]
with keras_sat.strategy(devices=names).scope():
    first = build()
    found = {"losses": restored(first), "loaded": loaded(first)}
print(json.dumps(found))

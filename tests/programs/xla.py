"""Trains two epochs with XLA, whose compilations a test counts in the log."""

import numpy as np
import tensorflow as tf

import keras_sat

inner = keras_sat.models.residual_network(
    repeats=(1,),
    filters=(4,),
    activation="silu",
    num_classes=5,
    input_shape=(8, 8, 3),
    stem="small",
    stem_filters=4,
    block="basic",
)
model = keras_sat.SATModel(inner)
model.compile(jit_compile=True)
images = np.random.default_rng(0).uniform(size=(32, 8, 8, 3))
data = tf.data.Dataset.from_tensor_slices(
    (images.astype("float32"), np.arange(32) % 5)
).batch(10)
model.fit(data, epochs=2, validation_data=data, verbose=0)

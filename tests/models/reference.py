"""The fixtures that were made with the official code, and their models."""

import keras
import numpy as np
import tensorflow as tf

from keras_sat import models
from tests.test_case import FIXTURES


def arrays(name):
    """Returns the arrays of `name.npz`, with its images in [0, 1]."""
    with np.load(FIXTURES / f"{name}.npz") as file:
        fixture = dict(file)
    if "images_uint8" in fixture:
        fixture["images"] = fixture["images_uint8"].astype("float32") / 255
    return fixture


def checkpoint(name):
    """Returns the prefix of the files of a checkpoint."""
    return FIXTURES / "ckpt" / name / "model.ckpt"


def tiny_resnet(activation="silu", weights="resnet-tiny-silu", **options):
    """Builds the reduced ResNet of the fixtures, with the official weights."""
    model = models.residual_network(
        (1, 2, 1, 1),
        (4, 8, 16, 32),
        activation,
        input_shape=(64, 64, 3),
        **options,
    )
    models.load_official_checkpoint(
        model, checkpoint(weights), reverse_channels=False
    )
    return model


def tiny_resnext():
    """Builds the reduced ResNeXt of the fixtures, with the official weights."""
    return tiny_resnet(
        weights="resnext-tiny-silu", cardinality=4, group_width=32
    )


def tiny_efficientnet():
    """Builds the reduced EfficientNet of the fixtures."""
    model = models.scaled_efficientnet(
        0.25,
        num_classes=10,
        input_shape=(64, 64, 3),
        dropout=0.0,
        stochastic_depth=0.0,
    )
    weights = checkpoint("efficientnet-b0-w025-nc10")
    models.load_official_checkpoint(model, weights)
    return model


def input_gradient(model, images, labels):
    """Returns logits, and the gradient of the sum of the cross-entropies."""
    images = tf.convert_to_tensor(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = model(images, training=False)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return logits, tape.gradient(loss, images)


def train_mode(model, images, labels):
    """Runs one pass in training mode, which updates the moving averages.

    Returns:
        Logits, loss with label smoothing 0.1, and the gradients of the loss:
        of the images, and a dict of those of the weights.
    """
    images = tf.convert_to_tensor(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = model(images, training=True)
        classes = logits.shape[-1]
        targets = 0.9 * tf.one_hot(labels, classes) + 0.1 / classes
        loss = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
        loss = tf.reduce_mean(loss)
    weights = model.trainable_weights
    inputs, *gradients = tape.gradient(loss, [images, *weights])
    paths = [weight.path for weight in weights]
    return logits, loss, inputs, dict(zip(paths, gradients, strict=True))


def relative_error(value, expected):
    """Returns the norm of the difference, relative to the expected array."""
    error = np.linalg.norm(np.ravel(value) - np.ravel(expected))
    return error / np.linalg.norm(np.ravel(expected))


def save_and_load(model, folder):
    """Saves a model in a folder and loads it again."""
    path = f"{folder}/model.keras"
    model.save(path)
    return keras.saving.load_model(path)

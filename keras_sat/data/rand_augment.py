"""RandAugment, and Keras's augmentation layers as functions of a seed.

A Keras layer keeps the state of its random numbers in a variable. Calls that
run in parallel would read it in a random order, and no run could be repeated.
The functions here take the seed as an argument instead.
"""

import keras
import tensorflow as tf


class _SeedsFromTensor(keras.random.SeedGenerator):
    """A generator of seeds that starts from a tensor and has no variable."""

    def __init__(self, seed):
        self.seed = seed

    def next(self, ordered=True):
        # Keras asks for each seed once, so each is split off from the last one.
        self.seed, seed = tf.unstack(tf.random.split(self.seed))
        return tf.bitcast(tf.cast(seed, tf.int32), tf.uint32)


def on_batch(layer):
    """Returns an augmentation layer as a function of images, labels and seed.

    Args:
        layer: augmentation layer of Keras for images in `[0, 255]`.

    Returns:
        Function `(images, labels, seed) -> (images, labels)` of float32 images
        `(batch, height, width, 3)`, any labels or `None`, and a seed `(2,)`.
    """

    def change(images, labels, seed):
        transformation = layer.get_random_transformation(
            images, training=True, seed=_SeedsFromTensor(seed)
        )
        images = layer.transform_images(images, transformation, training=True)
        if labels is not None:
            labels = layer.transform_labels(
                labels, transformation, training=True
            )
        return images, labels

    return change


def on_image(layer):
    """Returns an augmentation layer as a function of one image and a seed.

    Args:
        layer: see `on_batch`.

    Returns:
        Function `(image, seed) -> image` of a float32 image `(height, width,
        3)` and a seed `(2,)`.
    """
    function = on_batch(layer)

    def change(image, seed):
        changed = function(image[tf.newaxis], None, seed)[0][0]
        return tf.ensure_shape(changed, image.shape)

    return change


class RandAugment:
    """A function that applies random operations, one after the other.

    The operations and their strength at `magnitude=1` are those of the paper;
    they are computed by layers of Keras. `keras.layers.RandAugment` is not
    used, because it computes all operations for every image, and rotates and
    moves images much further than the paper.

    Args:
        count: int >= 1. Number of operations for each image.
        magnitude: float in `[0, 1]`. Strength of the operations.

    Reference:
    - [Cubuk et al., 2020](https://arxiv.org/abs/1909.13719)
    """

    def __init__(self, count, magnitude):
        self.count = count
        self.changes = [on_image(layer) for layer in _operations(magnitude)]

    def __call__(self, image, seed):
        """Returns the changed image.

        Args:
            image: float32 tensor `(height, width, 3)` in `[0, 255]`.
            seed: int tensor `(2,)`.
        """
        for seeds in tf.unstack(tf.random.split(seed, self.count)):
            which, seed = tf.unstack(tf.random.split(seeds))
            index = tf.random.stateless_uniform(
                [], which, 0, len(self.changes), tf.int32
            )
            branches = [
                # Only the branch that is drawn is computed.
                lambda c=change, x=image, s=seed: tf.clip_by_value(
                    c(x, s), 0.0, 255.0
                )
                for change in self.changes
            ]
            image = tf.switch_case(index, branches)
        return image


def _operations(magnitude):
    """Returns the 13 layers that RandAugment chooses from."""
    # Keras could be configured to have the channels first.
    last = {"data_format": "channels_last"}
    # Pixels that move into the image are black.
    black = {"fill_mode": "constant", **last}
    strength = 0.9 * magnitude
    around_half = (0.5 - strength / 2, 0.5 + strength / 2)
    layers = keras.layers
    return [
        layers.AutoContrast(**last),
        layers.Equalization(**last),
        layers.RandomRotation(magnitude * 30 / 360, **black),
        layers.RandomShear(x_factor=0.3 * magnitude, **black),
        layers.RandomShear(y_factor=0.3 * magnitude, **black),
        layers.RandomTranslation(0.0, 0.45 * magnitude, **black),
        layers.RandomTranslation(0.45 * magnitude, 0.0, **black),
        layers.RandomPosterization(8 - int(4 * magnitude), **last),
        layers.Solarization(threshold_factor=(1 - magnitude, 1.0), **last),
        layers.RandomColorDegeneration(strength, **last),
        layers.RandomContrast(strength, **last),
        layers.RandomBrightness(strength, **last),
        layers.RandomSharpness(around_half, **last),
    ]

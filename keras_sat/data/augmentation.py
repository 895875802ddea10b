"""Random changes of training images: crops, colors, mixtures."""

import dataclasses

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat import preprocessing
from keras_sat.data import rand_augment
from keras_sat.data import random_crops

# Shares of red, green and blue in the brightness that people see.
GRAY = (0.299, 0.587, 0.114)
# The principal components of the colors of ImageNet, in RGB: standard
# deviations, and directions as columns.
EIGENVALUES = (0.2175 * 255, 0.0188 * 255, 0.0045 * 255)
EIGENVECTORS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Options of the augmentation of training images.

    The defaults are the official EfficientNet and TPU-ResNet pipeline: a random
    crop and a flip, nothing else. The options that are switched on are applied
    in the order of the arguments below, except that brightness, contrast,
    saturation and lighting are applied in a random order. MixUp and CutMix act
    on batches, all others on single images; if both are switched on, each batch
    gets one of them, with equal probability.

    | recipe | options |
    |---|---|
    | loader of the official ResNet code | `jitter=0.4, lighting=0.1` |
    | Peng et al. | `jitter=0.1, lighting=0.1` |
    | Singh et al. | `randaugment=2, erasing=0.25, mixup=0.8, cutmix=1.0` |
    | CIFAR-10 | `padding=4` |

    Args:
        padding: int >= 0. If not 0, the crop has the size of the image: the
            image gets a black border of this many pixels, and a random window
            of its former size is kept. `area` and `ratio` are then not used.
            Defaults to `0`.
        area: pair of floats in `(0, 1]`. Smallest and largest share of the
            image in the crop. Defaults to `(0.08, 1.0)`.
        ratio: pair of floats > 0. Smallest and largest ratio of the width of
            the crop to its height. Defaults to `(3 / 4, 4 / 3)`.
        jitter: float in `[0, 1]`. Brightness, contrast and saturation are
            multiplied by numbers in `[1 - jitter, 1 + jitter]`. Defaults to
            `0.0`.
        lighting: float >= 0. Standard deviation of noise along the principal
            components of the colors. Defaults to `0.0`.
        randaugment: int >= 0. Number of operations of RandAugment for each
            image. Defaults to `0`.
        magnitude: float in `[0, 1]`. Strength of RandAugment; `0.9` is known as
            m9. Defaults to `0.9`.
        erasing: float in `[0, 1]`. Probability that a rectangle is replaced by
            noise. Defaults to `0.0`.
        flip: bool. Whether half of the images are mirrored. Defaults to `True`.
        mixup: float >= 0. `alpha` of MixUp; 0 for none. Defaults to `0.0`.
        cutmix: float in `[0, 1]`. `alpha` of CutMix; 0 for none. Defaults to
            `0.0`.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If an argument is out of its range.

    Example:

    ```python
    augmentation = keras_sat.data.Augmentation(jitter=0.4, lighting=0.1)
    ds = keras_sat.data.load(
        "imagenet2012", "train", training=True, augmentation=augmentation
    )
    ```

    Reference:
    - [Krizhevsky et al., 2012](https://dl.acm.org/doi/10.1145/3065386)
    - [RandAugment](https://arxiv.org/abs/1909.13719)
    - [Random erasing](https://arxiv.org/abs/1708.04896)
    - [MixUp](https://arxiv.org/abs/1710.09412)
    - [CutMix](https://arxiv.org/abs/1905.04899)
    """

    padding: int = 0
    area: tuple = random_crops.CROP_AREA
    ratio: tuple = random_crops.CROP_RATIO
    jitter: float = 0.0
    lighting: float = 0.0
    randaugment: int = 0
    magnitude: float = 0.9
    erasing: float = 0.0
    flip: bool = True
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self):
        for name in ("padding", "randaugment"):
            checks.integer(name, getattr(self, name), least=0)
        for name in ("area", "ratio"):
            _check_pair(name, getattr(self, name))
        if self.area[1] > 1:
            checks.refuse("area", "lie in (0, 1]", self.area)
        for name in ("jitter", "magnitude", "erasing", "cutmix"):
            checks.probability(name, getattr(self, name))
        for name in ("lighting", "mixup"):
            checks.real(name, getattr(self, name), least=0)
        if not isinstance(self.flip, bool):
            checks.refuse("flip", "be a bool", self.flip, error=TypeError)

    def crop(self, contents, seed):
        """Decodes a random part of an image.

        Args:
            contents: scalar string tensor: see `preprocessing.decode`.
            seed: int tensor `(2,)`.

        Returns:
            uint8 tensor `(any, any, 3)`, RGB.
        """
        if self.padding:
            return random_crops.decode_shifted(contents, seed, self.padding)
        return random_crops.decode_random_window(
            contents, seed, self.area, self.ratio
        )

    def color_function(self):
        """Returns the function that changes a resized image, but for the flip.

        Returns:
            Function from a float32 image `(height, width, 3)` in `[0, 255]`
            and a seed `(2,)` to another image; its values may leave the range.
        """
        changes = []
        if self.jitter or self.lighting:
            changes.append(self._change_colors)
        if self.randaugment:
            changes.append(
                rand_augment.RandAugment(self.randaugment, self.magnitude)
            )
        if self.erasing:
            erase = keras.layers.RandomErasing(
                factor=(self.erasing,) * 2, data_format="channels_last"
            )
            changes.append(rand_augment.on_image(erase))

        def augment(image, seed):
            if changes:
                seeds = tf.random.split(seed, len(changes))
            for i, change in enumerate(changes):
                image = change(image, seeds[i])
            return image

        return augment

    def _change_colors(self, image, seed):
        """Changes brightness, contrast, saturation and lighting.

        Their order is random.
        """
        seeds = tf.random.split(seed, 3)
        low, high = 1 - self.jitter, 1 + self.jitter
        by = tf.random.stateless_uniform([3], seeds[0], low, high)
        noise = self.lighting * tf.random.stateless_normal([3], seeds[1])
        shift = tf.linalg.matvec(EIGENVECTORS, noise * EIGENVALUES)

        def blend(image, other, share):
            return image * share + other * (1 - share)

        def gray(image):
            return tf.reduce_sum(image * GRAY, -1, keepdims=True)

        # The sorted order of random numbers is a random order.
        order = tf.argsort(tf.random.stateless_uniform([4], seeds[2]))
        for position in range(4):
            image = tf.switch_case(
                order[position],
                [
                    # `x=image` keeps the image of this round.
                    lambda x=image: x * by[0],
                    lambda x=image: blend(x, tf.reduce_mean(gray(x)), by[1]),
                    lambda x=image: blend(x, gray(x), by[2]),
                    lambda x=image: x + shift,
                ],
            )
        return tf.clip_by_value(image, 0.0, 255.0)

    def batch_function(self, num_classes):
        """Returns the function that applies MixUp and CutMix to a batch.

        Args:
            num_classes: int. Length of the label vectors.

        Returns:
            Function `(images, labels, seed) -> (images, labels)` from uint8
            images and int labels to uint8 images and float32 probabilities;
            `None` if there is nothing to mix.
        """
        mixes, last = [], {"data_format": "channels_last"}
        if self.mixup:
            mixes.append(keras.layers.MixUp(alpha=self.mixup, **last))
        if self.cutmix:
            factor = (self.cutmix,) * 2
            mixes.append(keras.layers.CutMix(factor=factor, **last))
        if not mixes:
            return None
        mixes = [rand_augment.on_batch(layer) for layer in mixes]

        def mix(images, labels, seed):
            seeds = tf.random.split(seed, 2)
            # Mixed images have the mixed probabilities as labels.
            labels = tf.one_hot(labels, num_classes)
            images = tf.cast(images, tf.float32)
            which = tf.random.stateless_uniform(
                [], seeds[0], 0, len(mixes), tf.int32
            )
            images, labels = tf.switch_case(
                which,
                [lambda m=m: m(images, labels, seeds[1]) for m in mixes],
            )
            return preprocessing.to_uint8(images), labels

        return mix


def _check_pair(name, pair):
    """Checks that `pair` is two numbers > 0, the lower one first."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        checks.refuse(name, "be a pair of numbers", pair, error=TypeError)
    checks.real(name, pair[0], above=0)
    checks.real(name, pair[1], least=pair[0])

"""A linear classifier in NumPy, with derivatives by hand, in float64."""

import keras
import numpy as np

SMOOTHING = 0.1


def softmax(logits):
    """Returns probabilities `(batch, num_classes)`."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def unit(x):
    """Returns rows of length 1."""
    return x / np.linalg.norm(x, axis=1, keepdims=True)


class Linear:
    """A linear classifier, in Keras and in NumPy.

    Args:
        classes: int.
    """

    def __init__(self, classes=4):
        generator = np.random.default_rng(0)
        self.kernel = generator.normal(size=(6, classes)) / 2
        self.images = generator.uniform(0.3, 0.7, (8, 6)).astype("float32")
        noise = generator.uniform(-0.1, 0.1, (8, 6))
        self.adversarial = (self.images + noise).astype("float32")
        self.labels = np.arange(8) % classes
        self.weights = np.linspace(0, 2, 8).astype("float32")
        self.hard = np.eye(classes)[self.labels]
        self.soft = (1 - SMOOTHING) * self.hard + SMOOTHING / classes

    def network(self):
        """Returns it as a `keras.Model`."""
        inputs = keras.Input((6,))
        dense = keras.layers.Dense(self.hard.shape[1], use_bias=False)
        model = keras.Model(inputs, dense(inputs))
        dense.set_weights([self.kernel])
        return model

    def probabilities(self, images, kernel=None):
        """Returns the predictions of images."""
        kernel = self.kernel if kernel is None else kernel
        return softmax(images.astype("float64") @ kernel)

    def cross_entropy(self, images, kernel=None, targets=None):
        """Returns the losses of images, and their gradients in the logits."""
        targets = self.soft if targets is None else targets
        p = self.probabilities(images, kernel)
        return -np.sum(targets * np.log(p), 1), p - targets

    def divergence(self, beta):
        """Returns `beta * KL(p(x) || p(x'))` and its two gradients.

        They are those in the logits of clean and of adversarial images.
        """
        p, q = map(self.probabilities, (self.images, self.adversarial))
        ratio = np.log(p / q)
        kl = np.sum(p * ratio, 1)
        return beta * kl, beta * p * (ratio - kl[:, None]), beta * (q - p)

    def mean(self, losses, weights=None):
        """Returns the mean of losses as Keras understands it."""
        return np.mean(losses * (1 if weights is None else weights))

    def in_kernel(self, *parts, weights=None):
        """Returns the gradient of the mean of losses in the kernel.

        Args:
            *parts: pairs of images and the gradients of losses in their logits.
            weights: array `(batch,)`, or `None`.
        """
        weights = np.ones(8) if weights is None else weights
        return sum(
            x.astype("float64").T @ (g * weights[:, None]) / 8 for x, g in parts
        )

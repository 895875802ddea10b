"""A callback that warns of catastrophic overfitting."""

import keras
from absl import logging

from keras_sat.attacks import FGSM
from keras_sat.attacks import PGD
from keras_sat.checks.datasets import BatchGuard
from keras_sat.evaluation import overfitting


class CatastrophicOverfitting(keras.callbacks.Callback):
    """Warns when a model withstands one step of an attack but not ten.

    Training against a single step can end in a network that is robust to that
    step and to nothing else. Its training accuracy stays high, or rises, while
    ten steps change the class of nearly all images. That happens within an
    epoch, and more training does not undo it.

    After each epoch some images are attacked with one step of the length
    `epsilon`, and with ten steps of `epsilon / 4`. Both accuracies are added to
    the logs, as `fgsm_accuracy` and `pgd10_accuracy`, for the callbacks after
    this one.

    Args:
        dataset: `tf.data.Dataset` of `(images, labels)` batches that are not
            trained on. A few hundred images are enough.
        stop: bool. Whether to stop training after the first warning. Defaults
            to `False`.

    Example:

    ```python
    probe = keras_sat.callbacks.CatastrophicOverfitting(test_ds.take(4))
    model.fit(train_ds, callbacks=[probe])
    ```

    Reference:
    - [Wong et al., 2020](https://arxiv.org/abs/2001.03994)
    """

    # `callback_checks` lets the callbacks after this one monitor these.
    adds_logs = ("fgsm_accuracy", "pgd10_accuracy")

    def __init__(self, dataset, stop=False):
        super().__init__()
        self.dataset = dataset
        self.stop = stop

    def on_train_begin(self, logs=None):
        """Checks that the images are for this model."""
        BatchGuard(self.model.expected_batches()).checked(
            self.dataset, name="dataset"
        )

    def on_epoch_end(self, epoch, logs=None):
        """Attacks with one step and with ten, and compares the accuracies."""
        # Of the ball that is trained against.
        against = self.model.attack
        ball = {"epsilon": against.epsilon, "norm": against.norm}
        step_size = against.epsilon / 4
        one = self._evaluate(FGSM(**ball))
        ten = self._evaluate(PGD(**ball, step_size=step_size, steps=10))
        single, several = one["robust_accuracy"], ten["robust_accuracy"]
        if logs is not None:
            logs |= {"fgsm_accuracy": single, "pgd10_accuracy": several}
        if not overfitting.is_catastrophic(
            ten["clean_accuracy"], single, several
        ):
            return
        logging.warning(
            "Catastrophic overfitting in epoch %d: %s %s %s",
            epoch + 1,
            overfitting.words(single, several),
            overfitting.MEANING,
            overfitting.FIX,
        )
        if self.stop:
            self.model.stop_training = True

    def _evaluate(self, attack):
        """Returns the logs of an evaluation against an attack."""
        return self.model.evaluate(
            self.dataset, attack=attack, verbose=0, return_dict=True
        )

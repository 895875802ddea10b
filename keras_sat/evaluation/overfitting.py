"""Catastrophic overfitting: robust against one step and against no more."""

MEANING = "The model learned to fool the single step of its training."
FIX = "Train with more steps, a smaller step, or stop earlier."


def is_catastrophic(clean, single, several):
    """Whether one step breaks few images and ten break nearly all.

    On a plain model, where ten steps break most images, one breaks half of
    them.

    Args:
        clean: float. Accuracy on clean images.
        single: float. Accuracy after one step as long as the radius.
        several: float. Accuracy after ten steps.

    Reference:
    - [Wong et al., 2020](https://arxiv.org/abs/2001.03994)
    """
    return single > clean / 1.5 and several < single / 4


def words(single, several):
    """The two accuracies, for messages."""
    return f"{single:.1%} accuracy after one step, {several:.1%} after ten."

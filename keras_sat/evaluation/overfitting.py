"""Catastrophic overfitting: a model withstands one step, but not ten."""

MEANING = "The model learned to fool the single step of its training."
FIX = "Train with more steps, a smaller step, or stop earlier."


def is_catastrophic(clean, single, several):
    """Returns true if one step breaks few images and ten break nearly all.

    Without overfitting the two are closer: where ten steps break most of the
    images of a model, one step breaks about half of them.

    Args:
        clean: float in `[0, 1]`. Accuracy on clean images.
        single: float in `[0, 1]`. Accuracy after one step as long as the
            radius.
        several: float in `[0, 1]`. Accuracy after ten steps.

    Returns:
        bool.

    Reference:
    - [Wong et al., 2020](https://arxiv.org/abs/2001.03994)
    """
    return single > clean / 1.5 and several < single / 4


def words(single, several):
    """Returns a sentence with the two accuracies, for messages.

    Args:
        single, several: as in `is_catastrophic`.
    """
    return f"{single:.1%} accuracy after one step, {several:.1%} after ten."

"""Explanations of the reasons to doubt a robust accuracy, with advice."""

from keras_sat.evaluation import overfitting
from keras_sat.evaluation.finding import Finding

# From the name of each finding to what it means and what to do.
EXPLANATIONS = {
    "value_range": (
        "The model was probably made for these values of black and white: all "
        "accuracies here, and the other warnings, may come from images that it "
        "was not made for.",
        "Evaluate again with evaluate_robustness(..., "
        "value_range={value_range}), on images in that range or uint8.",
    ),
    "randomised_predictions": (
        "An attack sees another network in each step, and follows the gradient "
        "of one draw instead of their mean.",
        "Switch the randomness off, or evaluate with attacks='rand', which "
        "averages over draws.",
    ),
    "probabilities_as_logits": (
        "The cross-entropy applies a second softmax to probabilities: its "
        "gradients nearly vanish.",
        "Remove the softmax at the end of the model, for example by "
        "convert_activations(network, ..., remove_softmax=True).",
    ),
    "zero_gradients": (
        "Gradient attacks do not move on these images, however weak the model "
        "is.",
        "Trust black-box attacks only, and look for saturated or "
        "non-differentiable operations; where the margin has gradients, use "
        "attacks on the margin or on the DLR loss.",
    ),
    "non_finite_gradients": (
        "Gradient attacks cannot follow NaN or infinity on these images.",
        "Look for overflow, divisions by 0 and roots of 0 in the model; "
        "evaluate it in float32.",
    ),
    "black_box_beats_white_box": (
        "An attack that sees no gradients should find nothing that gradient "
        "attacks miss: the gradients may be masked.",
        "Use stronger gradient attacks, then Square with more queries and an "
        "attack adapted to the model.",
    ),
    "not_converged": (
        "A longer attack still breaks more images: the robust accuracy is too "
        "high.",
        "Use more steps or restarts, or the standard attacks.",
    ),
    "robust_at_huge_epsilon": (
        "Every image can become a uniform grey in so large a ball: the attack "
        "fails, not the perturbation.",
        "Look for masked gradients.",
    ),
    "catastrophic_overfitting": (
        overfitting.MEANING,
        overfitting.FIX,
    ),
    "batch_statistics": (
        "The prediction for an image depends on the other images of its batch, "
        "as if batch normalization ran in training mode.",
        "Call the model with training=False.",
    ),
    "images_out_of_range": (
        "Images are clipped to the range first: the accuracies are those of "
        "the clipped images.",
        "Clip the images where they are made.",
    ),
    "few_images": (
        "Models whose accuracies differ by less cannot be told apart.",
        "Evaluate more images before comparing models.",
    ),
}


def explained(name, found, **values):
    """Returns the `Finding` of a name, with its explanation and advice.

    Args:
        name: str. One of `EXPLANATIONS`.
        found: str. What was observed, with numbers.
        **values: what the advice leaves open, by name. Defaults to nothing.
    """
    meaning, remedy = EXPLANATIONS[name]
    return Finding(name, found, meaning, remedy.format(**values))

"""Labels of the attacks of a report, each one different."""

# Between the label of an attack and its number, if that is needed.
_NUMBER = " #"


def distinct_labels(attacks):
    """Returns a label for each attack; repeated ones are numbered from 2.

    Args:
        attacks: sequence of `Attack`.

    Returns:
        List of str, like `["PGD-10", "PGD-10 #2", "Square"]`.
    """
    labels = []
    for label in (attack.label for attack in attacks):
        count = sum(attack_name(known) == label for known in labels)
        labels.append(f"{label}{_NUMBER}{count + 1}" if count else label)
    return labels


def attack_name(label):
    """Returns a label of `distinct_labels` without its number."""
    return label.split(_NUMBER)[0]

"""The worst case of each image: attacks, one after the other, on survivors."""

import dataclasses
import itertools
import time

import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks.seeds import fold_in
from keras_sat.evaluation.parallel import ParallelAttack
from keras_sat.evaluation.parallel import batches_at_once
from keras_sat.evaluation.reading import Batch
from keras_sat.evaluation.report import MISCLASSIFIED

# The journal has the results of an attack under the index of the attack, and
# those of the clean images under this number.
CLEAN = -1


@dataclasses.dataclass(frozen=True, eq=False)
class WorstCase:
    """The outcomes of the attacks made so far on the images of a batch.

    Args:
        batch: `Batch`.
        outcomes: int array `(batch,)`; see `RobustnessReport`.
        adversarial: float32 array like the images: the first misclassified
            image found, or the clean one.
        seconds: float. How long the attacks took. Defaults to `0.0`.
    """

    batch: Batch
    outcomes: np.ndarray
    adversarial: np.ndarray
    seconds: float = 0.0

    def broken_by(self, attack, indices, adversarial, seconds):
        """Returns the worst case after one more attack.

        Args:
            attack: int. The index of the attack.
            indices: int array. Which images the attack broke.
            adversarial: float32 array. What became of these images.
            seconds: float. How long the attack took.
        """
        outcomes, images = self.outcomes.copy(), self.adversarial
        outcomes[indices] = attack
        if len(indices):
            images = images.copy()
            images[indices] = adversarial
        return WorstCase(self.batch, outcomes, images, self.seconds + seconds)


class WorstCaseSearch:
    """Several attacks on a model, each on the images that withstood the others.

    Args:
        evaluated: `EvaluatedModel`.
        attacks: sequence of `Attack`, in the order in which they are run.
        seed: int >= 0. The same seed gives the same worst cases.
        journal: `Journal` of this evaluation. What it remembers is not computed
            again.
    """

    def __init__(self, evaluated, attacks, seed, journal):
        self.evaluated = evaluated
        self.attacks = tuple(attacks)
        self.seed = tf.constant([seed % 2**31, seed // 2**31], tf.int32)
        self.journal = journal

    def worst_cases(self, batches, on_attack, is_complete=lambda batch: True):
        """Yields the worst case of each batch.

        Args:
            batches: iterator of `Batch`. It is read as far as needed.
            on_attack: function, called with a `WorstCase` after each attack on
                each batch.
            is_complete: function from a `Batch` to bool. False if the outcomes
                in the journal are not enough, because the adversarial images
                are needed as well. Defaults to true for all batches.
        """
        with self.evaluated.strategy.scope():
            runs = [
                ParallelAttack(
                    attack, self.evaluated.model, self.evaluated.jit_compile
                )
                for attack in self.attacks
            ]
            count = batches_at_once()
        while group := list(itertools.islice(batches, count)):
            cases = [self._before_attacks(batch) for batch in group]
            for i, run in enumerate(runs):
                cases = self._after_attack(i, run, cases, is_complete)
                for case in cases:
                    on_attack(case)
            yield from cases

    def _before_attacks(self, batch):
        """Returns the worst case without attacks: some images are wrong."""
        known = self.journal.get(batch.index, CLEAN)
        if known and known["checksum"] != batch.checksum:
            checks.refuse(
                "dataset",
                "give the batches of the evaluation that is continued",
                checks.Described(f"other images in batch {batch.index}"),
                "Do not shuffle, or delete the file at `state_path`.",
            )
        if known:
            return WorstCase(batch, np.asarray(known["outcomes"]), batch.images)
        right = self.evaluated.is_right(batch.images, batch.labels)
        outcomes = np.where(right, len(self.attacks), MISCLASSIFIED)
        self.journal.add(
            batch.index,
            CLEAN,
            value={"checksum": batch.checksum, "outcomes": outcomes.tolist()},
        )
        return WorstCase(batch, outcomes, batch.images)

    def _after_attack(self, i, run, cases, is_complete):
        """Returns the worst cases after the attack of index `i`.

        Each is remembered from an earlier run, or else computed.
        """
        after = [self._remembered(i, case, is_complete) for case in cases]
        missing = [k for k, case in enumerate(after) if case is None]
        computed = self._attacked(i, run, [cases[k] for k in missing])
        for k, case in zip(missing, computed, strict=True):
            after[k] = case
        return after

    def _remembered(self, i, case, is_complete):
        """Returns what the journal has of an attack, or `None`."""
        known = self.journal.get(case.batch.index, i)
        if not known or not is_complete(case.batch):
            return None
        return dataclasses.replace(
            case,
            outcomes=np.asarray(known["outcomes"]),
            seconds=known["seconds"],
        )

    def _attacked(self, i, run, cases):
        """Returns the worst cases after an attack that is made now."""
        start = time.perf_counter()
        jobs = [self._job(i, case) for case in cases]
        with self.evaluated.strategy.scope():
            found = run(jobs)
        results = []
        for case, adversarial in zip(cases, found, strict=True):
            indices, images = self._broken(i, case, adversarial)
            seconds = (time.perf_counter() - start) / len(cases)
            case = case.broken_by(i, indices, images, seconds)
            self.journal.add(
                case.batch.index,
                i,
                value={
                    "outcomes": case.outcomes.tolist(),
                    "seconds": case.seconds,
                },
            )
            results.append(case)
        return results

    def _job(self, i, case):
        """Returns images, labels, seed and survivors for `ParallelAttack`."""
        # The seed depends on the batch and the attack alone: neither the number
        # of replicas nor an interruption changes what an attack finds.
        seed = fold_in(fold_in(self.seed, case.batch.index), i)
        return case.batch.images, case.batch.labels, seed, case.outcomes > i

    def _broken(self, i, case, adversarial):
        """Returns which survivors an attack broke, and their new images."""
        images, labels = case.batch.images, case.batch.labels
        indices = np.flatnonzero(case.outcomes > i)
        if not len(indices):
            return indices, images[indices]
        # The attack is not trusted: what it returns is projected onto the ball
        # and the range, and classified anew.
        adversarial = self.attacks[i].project(adversarial, images)
        adversarial = np.asarray(adversarial)[indices]
        wrong = ~self.evaluated.is_right(adversarial, labels[indices])
        return indices[wrong], adversarial[wrong]

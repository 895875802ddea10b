"""The worst case of each image: attacks, one after the other, on survivors."""

import collections
import time

import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks.seeds import fold_in
from keras_sat.attacks.stages import attacked
from keras_sat.attacks.stages import new_stage
from keras_sat.evaluation.open_batch import OpenBatch
from keras_sat.evaluation.progress import Status
from keras_sat.evaluation.progress import seconds_left
from keras_sat.evaluation.report import MISCLASSIFIED
from keras_sat.evaluation.snapshots import Snapshot
from keras_sat.evaluation.snapshots import Snapshots

# The journal has the results of an attack under the index of the attack, and
# those of the clean images under this number.
CLEAN = -1


class WorstCaseSearch:
    """Several attacks on a model, each on the images that withstood the others.

    Every attack is a `Stage`. Images enter the first one as their batch is
    read, and move on one by one: those that withstand an attack wait for the
    next one, together with images of other batches. No more are on their way
    than the stages have room for.

    Args:
        evaluated: `EvaluatedModel`.
        attacks: sequence of `Attack`, in the order in which they are run.
        seed: int >= 0. The same seed gives the same worst cases.
        journal: `Journal` of this evaluation. What it remembers is not computed
            again.
        snapshots: `Snapshots` of this evaluation. Defaults to none.
        num_classes: int >= 2. How many classes the model tells apart.
        num_batches: int. How many batches there are. Defaults to `None`: that
            is not known.
    """

    def __init__(
        self,
        evaluated,
        attacks,
        seed,
        journal,
        snapshots=None,
        *,
        num_classes,
        num_batches=None,
    ):
        self.evaluated = evaluated
        self.attacks = tuple(attacks)
        self.journal = journal
        self._snapshots = snapshots or Snapshots(None, {})
        self._interrupted = self._snapshots.load()
        self._keeps_images = False
        # From the number of each image on its way to its batch.
        self._owners = {}
        self._open = collections.deque()
        self._num_batches = num_batches
        self._batches_read = self._next_row = 0
        self._right = self._broken = 0
        self._current = 0
        seeds = tf.constant([seed % 2**31, seed // 2**31], tf.int32)
        with evaluated.strategy.scope():
            self._stages = [
                new_stage(
                    attack,
                    evaluated.network,
                    num_classes,
                    evaluated.batch_size,
                    fold_in(seeds, i),
                    evaluated.strategy,
                )
                for i, attack in enumerate(attacks)
            ]

    def worst_cases(self, batches, on_piece, is_complete=lambda batch: True):
        """Yields the worst case of each batch, in order.

        Args:
            batches: iterator of `Batch`. It is read as far as needed.
            on_piece: function, called with a `Status` before the first piece of
                an attack, and after each one.
            is_complete: function from a `Batch` to bool. False if the outcomes
                in the journal are not enough, because the adversarial images
                are needed as well. Defaults to true for all batches.
        """
        try:
            yield from self._search(iter(batches), on_piece, is_complete)
        except KeyboardInterrupt:
            # Images that have left a stage and are in no other one are in none
            # of the snapshot either: they begin their next attack anew.
            self._snapshots.save(self._snapshot())
            raise

    def _search(self, batches, on_piece, is_complete):
        """Does the work of `worst_cases`."""
        is_read = False
        while True:
            i = self._next_stage(is_read)
            if i is not None:
                self._piece(i, on_piece)
            elif not is_read:
                batch = next(batches, None)
                is_read = batch is None
                if not is_read:
                    # The journal has no images.
                    self._admit(batch, may_remember=is_complete(batch))
            while self._open and self._open[0].is_finished:
                yield self._open.popleft().worst_case()
            if is_read and not self._open:
                return

    def _piece(self, i, on_piece):
        """Makes a piece of the attack of a stage, shows and saves it."""
        self._current = i
        if not self._stages[i].pace.pieces:
            on_piece(self.status())
        with self.evaluated.strategy.scope():
            self._work(i)
        if self._snapshots.is_due:
            self._snapshots.save(self._snapshot())
        on_piece(self.status())

    def attack_again(self, i, images, labels, rows):
        """Returns what an attack finds for images, once the search is over.

        Args:
            i: int. The index of the attack.
            images: float32 array `(count, ...)` in the range of the model.
            labels: int32 array `(count,)`.
            rows: int32 array `(count,)`. Their numbers in the dataset, on which
                random numbers depend.

        Returns:
            float32 array like `images`.
        """
        with self.evaluated.strategy.scope():
            found = attacked(self._stages[i], images, labels, rows=rows)
        return np.asarray(self.attacks[i].project(found, images))

    def status(self):
        """Returns the `Status` of the search."""
        return Status(
            attack=self.attacks[self._current].label,
            piece=self._stages[self._current].pace.pieces,
            batches=self._batches_read,
            num_batches=self._num_batches,
            images=self._next_row,
            right=self._right,
            robust=self._right - self._broken,
            seconds_left=seconds_left(self._stages, self._expected()),
        )

    def _expected(self):
        """Returns how many images will probably enter, of those not read."""
        if not self._num_batches or not self._batches_read:
            return 0
        # The last batch may be smaller, and what is wrong does not enter.
        unread = self._num_batches / self._batches_read - 1
        return unread * self._right

    def _next_stage(self, is_read):
        """Returns the index of the stage that works next, or `None`.

        That is the last one that is full, so that few images are on their way.
        When there is nothing more to read, the first one with any images works:
        all that reach a stage are then there together.
        """
        full = [
            i
            for i, stage in enumerate(self._stages)
            if len(stage) >= stage.capacity
        ]
        if full:
            return full[-1]
        if not is_read:
            return None
        filled = [i for i, stage in enumerate(self._stages) if len(stage)]
        return filled[0] if filled else None

    def _admit(self, batch, may_remember):
        """Lets the images of a batch enter.

        Args:
            batch: `Batch`.
            may_remember: bool. Whether outcomes in the journal are enough.
        """
        entered = OpenBatch(batch, self._next_row, len(self.attacks))
        self._next_row += len(batch.labels)
        self._batches_read += 1
        self._open.append(entered)
        self._classify(entered)
        for i in range(len(self.attacks)):
            known = self.journal.get(batch.index, i)
            if not (known and may_remember):
                break
            entered.remember(i, known)
        self._keeps_images |= not may_remember
        waiting = self._resumed(entered)
        self._broken += int(entered.is_broken.sum())
        self._note(entered)
        self._move_on(entered, waiting)

    def _resumed(self, entered):
        """Puts images to work where an earlier run was interrupted.

        Returns:
            int array. Which of the other images have to wait for an attack.
        """
        snapshot, index = self._interrupted, entered.batch.index
        if snapshot is None or index not in snapshot.batches:
            return np.flatnonzero(~entered.is_done)
        if not entered.resume(snapshot.batches[index]):
            return np.flatnonzero(~entered.is_done)
        waits = ~entered.is_done
        rows = entered.first_row + np.arange(len(waits), dtype="int32")
        for stage, state, saved in zip(
            self._stages, snapshot.stages, snapshot.rows, strict=True
        ):
            mine = np.isin(saved, rows[waits])
            indices = saved[mine] - entered.first_row
            self._owners.update(dict.fromkeys(rows[indices].tolist(), entered))
            with self.evaluated.strategy.scope():
                stage.resume(
                    entered.batch.images[indices],
                    entered.batch.labels[indices],
                    rows[indices],
                    [value[mine] for value in state],
                )
            waits[indices] = False
        return np.flatnonzero(waits)

    def _snapshot(self):
        """Returns the `Snapshot` of this moment."""
        stages, rows = zip(*(s.saved() for s in self._stages), strict=True)
        return Snapshot(
            batches={
                entered.batch.index: entered.saved(self._keeps_images)
                for entered in self._open
            },
            stages=list(stages),
            rows=list(rows),
        )

    def _classify(self, entered):
        """Finds the images that are wrong without any attack."""
        batch = entered.batch
        known = self.journal.get(batch.index, CLEAN)
        if known and known["checksum"] != batch.checksum:
            checks.refuse(
                "dataset",
                "give the batches of the evaluation that is continued",
                checks.Described(f"other images in batch {batch.index}"),
                "Do not shuffle, or delete the file at `state_path`.",
            )
        if not (known and entered.seen.remember(CLEAN, known)):
            seen = self.evaluated.predictions(batch.images, batch.labels)
            entered.seen.note(CLEAN, slice(None), *seen)
        if known:
            entered.outcomes[:] = known["outcomes"]
        else:
            wrong = entered.seen.predictions[0] != batch.labels
            entered.outcomes[wrong] = MISCLASSIFIED
            outcomes = entered.outcomes.tolist()
            value = {"checksum": batch.checksum, "outcomes": outcomes}
            value |= entered.seen.of(CLEAN)
            self.journal.add(batch.index, CLEAN, value=value)
        self._right += int((entered.outcomes != MISCLASSIFIED).sum())

    def _work(self, i):
        """Makes a piece of the attack of a stage, and moves images on."""
        start = time.perf_counter()
        rows, adversarial = self._stages[i].work()
        seconds = time.perf_counter() - start
        # Most pieces end with no image done. They take time all the same.
        worked = [*rows.tolist(), *self._stages[i].rows.tolist()]
        for row in worked:
            self._owners[row].seconds += seconds / len(worked)
        owners = [self._owners[row] for row in rows.tolist()]
        for entered in dict.fromkeys(owners):
            mine = np.array([owner is entered for owner in owners])
            indices = rows[mine] - entered.first_row
            self._judge(i, entered, indices, adversarial[mine])
            self._note(entered)
            self._move_on(entered, indices[~entered.is_done[indices]])

    def _judge(self, i, entered, indices, adversarial):
        """Notes what became of images that have passed an attack."""
        images = entered.batch.images[indices]
        labels = entered.batch.labels[indices]
        # The attack is not trusted: what it returns is projected onto the ball
        # and the range, and classified anew.
        adversarial = np.asarray(self.attacks[i].project(adversarial, images))
        predictions, leads = self.evaluated.predictions(adversarial, labels)
        entered.seen.note(i, indices, predictions, leads)
        broken = predictions != labels
        self._broken += int(broken.sum())
        entered.outcomes[indices[broken]] = i
        entered.adversarial[indices[broken]] = adversarial[broken]
        entered.passed[indices] = i + 1

    def _note(self, entered):
        """Writes into the journal which attacks a batch has passed."""
        while entered.noted < entered.attacks_passed:
            i = entered.noted
            value = entered.result_after(i)
            self.journal.add(entered.batch.index, i, value=value)
            entered.noted += 1

    def _move_on(self, entered, indices):
        """Lets images wait for the attack that they have to pass next."""
        rows = (entered.first_row + indices).astype("int32")
        self._owners.update(dict.fromkeys(rows.tolist(), entered))
        for i in np.unique(entered.passed[indices]):
            here = indices[entered.passed[indices] == i]
            self._stages[i].add(
                entered.batch.images[here],
                entered.batch.labels[here],
                (entered.first_row + here).astype("int32"),
            )
        if entered.is_finished:
            for row in range(
                entered.first_row, entered.first_row + len(entered.outcomes)
            ):
                self._owners.pop(row, None)

"""The images of a stage: who works, who waits and who is done."""

import time
from typing import NamedTuple
from unittest import mock

import numpy as np
from absl.testing import parameterized

from keras_sat.attacks import pace
from keras_sat.attacks.pace import FEWEST_PIECES
from keras_sat.attacks.pace import SECONDS
from keras_sat.attacks.stages import Stage
from keras_sat.attacks.stages import attacked
from tests.test_case import TestCase

SEED = np.array([1, 2], "int32")


class State(NamedTuple):
    """The state of `Countdown`."""

    rows: np.ndarray
    left: np.ndarray
    adversarial: np.ndarray
    done: np.ndarray


class Countdown:
    """An attack that takes as many steps as the label of an image says.

    Args:
        fixed_size: bool. Whether all shares must have one size.
        count: int. How many shares there are at most.
        clock: list of a float: the time, to which each step adds.
        pace: float. Seconds for each step.
    """

    def __init__(self, fixed_size=False, count=1, clock=None, pace=0.0):
        self.fixed_size, self.count = fixed_size, count
        self.clock, self.pace = clock or [0.0], pace
        # The rows of the shares, the numbers of steps, and the seeds.
        self.began, self.worked, self.steps, self.seeds = [], [], [], []

    def begin(self, shares, seed):
        """See `Threads.begin`."""
        self.began.append([rows.tolist() for *_, rows in shares])
        self.seeds.append(seed)
        return [
            State(rows, labels.copy(), images, labels <= 0)
            for images, labels, rows in shares
        ]

    def advance(self, states, seed, steps):
        """See `Threads.advance`."""
        self.worked.append([state.rows.tolist() for state in states])
        self.steps.append(int(steps))
        self.seeds.append(seed)
        self.clock[0] += self.pace * steps
        return [
            state._replace(
                left=state.left - steps,
                adversarial=state.adversarial + 1,
                done=state.left - steps <= 0,
            )
            for state in states
        ]

    def agreed(self, seconds):
        """See `Threads.agreed`."""
        return seconds


def batch(labels, first=0):
    """Returns images whose pixels are their numbers, labels and rows."""
    rows = np.arange(first, first + len(labels), dtype="int32")
    images = np.tile(rows[:, np.newaxis], 2).astype("float32")
    return images, np.array(labels, "int32"), rows


class StagesTest(TestCase):
    def setUp(self):
        super().setUp()
        # Pieces of any length are worth their while.
        self.enter_context(mock.patch.object(pace, "SHORTEST", 0.0))

    def work(self, stage):
        """Returns the numbers of the images that a piece finishes."""
        rows, adversarial = stage.work()
        self.assertLen(adversarial, len(rows))
        return rows.tolist()

    def test_images_leave_as_they_are_done_and_are_replaced(self):
        attack = Countdown()
        stage = Stage(attack, 10, size=4, seed=SEED)
        stage.add(*batch([1, 3, 1, 2, 1, 1]))
        stage.add(*batch([1, 2], first=6))
        self.assertLen(stage, 8)
        self.assertEqual(self.work(stage), [0, 2])
        self.assertLen(stage, 6)
        self.assertEqual(self.work(stage), [3, 4, 5])
        self.assertEqual(self.work(stage), [1, 6])
        self.assertEqual(self.work(stage), [7])
        self.assertLen(stage, 0)
        self.assertEqual(
            attack.worked,
            [[[0, 1, 2, 3]], [[1, 3, 4, 5]], [[1, 6, 7]], [[7]]],
        )
        self.assertEqual(attack.began, [[[0, 1, 2, 3]], [[4, 5]], [[6, 7]]])
        self.assertEqual(stage.pace.pieces, 4)
        self.assert_same_bits(attack.seeds, [SEED] * len(attack.seeds))

    def test_each_image_is_returned_with_its_own_number(self):
        stage = Stage(Countdown(count=2), 10, size=3, seed=SEED)
        labels = [5, 1, 4, 2, 3, 1, 2, 5, 1]
        stage.add(*batch(labels))
        found = {}
        while len(stage):
            rows, adversarial = stage.work()
            found |= dict(zip(rows.tolist(), adversarial, strict=True))
        # Each step adds one to the pixels.
        expected = {i: [i + n] * 2 for i, n in enumerate(labels)}
        self.assertEqual({i: x.tolist() for i, x in found.items()}, expected)

    @parameterized.product(fixed_size=[False, True], count=[1, 3])
    def test_never_more_work_than_there_is_room_for(self, fixed_size, count):
        attack = Countdown(fixed_size, count)
        stage = Stage(attack, 9, size=4, seed=SEED)
        self.assertEqual(stage.capacity, 4 * count)
        labels = np.random.default_rng(0).integers(1, 9, 50)
        left = []
        for first in range(0, 50, 10):
            stage.add(*batch(labels[first : first + 10], first))
            left += self.work(stage)
        while len(stage):
            left += self.work(stage)
        self.assertEqual(sorted(left), list(range(50)))
        for shares in attack.worked + attack.began:
            self.assertLessEqual(len(shares), count)
            for rows in shares:
                if fixed_size:
                    self.assertLen(rows, 4)
                else:
                    self.assertLessEqual(len(rows), 4)
        # While images wait, all places are taken.
        self.assertLen(set(sum(attack.worked[1], [])), 4 * count)

    def test_a_batch_is_filled_up_where_its_size_is_fixed(self):
        attack = Countdown(fixed_size=True, count=2)
        stage = Stage(attack, 9, size=4, seed=SEED)
        stage.add(*batch([1, 1, 1, 2, 1, 3]))
        self.assertEqual(self.work(stage), [0, 1, 2, 4])
        self.assertEqual(self.work(stage), [3])
        self.assertEqual(self.work(stage), [5])
        self.assertEqual(
            attack.worked,
            [[[0, 1, 2, 3], [4, 5, 4, 5]], [[3, 5, 3, 5]], [[5, 5, 5, 5]]],
        )

    def lengths(self, seconds, num_steps):
        """Returns the lengths of the pieces; a step takes so many seconds."""
        clock = [0.0]
        attack = Countdown(clock=clock, pace=seconds)
        stage = Stage(attack, num_steps, size=2, seed=SEED)
        stage.add(*batch([num_steps, num_steps]))
        with mock.patch.object(time, "perf_counter", lambda: clock[0]):
            while len(stage):
                stage.work()
        if stage.pace.pieces > 1:
            self.assertAllClose(stage.pace.seconds, seconds / 2)
        return attack.steps

    def test_pieces_grow_until_they_take_as_long_as_they_should(self):
        steps = self.lengths(SECONDS / 8, 1000)
        self.assertEqual(steps[:5], [1, 1, 4, 8, 8])
        self.assertEqual(max(steps), 8)

    def test_pieces_of_slow_steps_are_single_steps(self):
        self.assertEqual(self.lengths(SECONDS * 3, 40), [1] * 40)

    def test_however_fast_it_is_an_attack_is_looked_at_often(self):
        steps = self.lengths(1e-9, 400)
        self.assertEqual(max(steps), 400 // FEWEST_PIECES)
        self.assertGreaterEqual(len(steps), FEWEST_PIECES)

    def test_the_first_piece_does_not_count(self):
        stage = Stage(Countdown(), 3, size=2, seed=SEED)
        stage.add(*batch([3, 3]))
        self.assertTrue(np.isnan(stage.pace.seconds))
        stage.work()
        self.assertTrue(np.isnan(stage.pace.seconds))
        stage.work()
        self.assertFalse(np.isnan(stage.pace.seconds))

    def test_no_images_make_no_work(self):
        stage = Stage(Countdown(), 3, size=2, seed=SEED)
        stage.add(*batch([]))
        self.assertLen(stage, 0)
        self.assertEqual(stage.steps_left, 0)
        stage.add(*batch([1]))
        self.assertEqual(stage.steps_left, 3)
        self.assertLen(stage, 1)

    def test_only_the_chosen_images_are_attacked(self):
        images, labels, _ = batch([2, 1, 3, 1])
        for chosen in (None, [True, False, False, True], [False] * 4):
            attack = Countdown()
            stage = Stage(attack, 9, size=4, seed=SEED)
            found = attacked(stage, images, labels, chosen)
            steps = labels * (1 if chosen is None else chosen)
            self.assertAllEqual(found, images + steps[:, np.newaxis])
            self.assertEqual(bool(attack.worked), bool(np.any(steps)))

"""One attack, and the images that are on their way through it.

Images come from many batches and leave one by one, as they are broken or have
withstood the attack. Those that are left are put together with new ones, so
that the network always works on full batches.
"""

import time

import numpy as np
import tensorflow as tf

from keras_sat.attacks.pace import Pace
from keras_sat.attacks.parallel import in_parallel
from keras_sat.attacks.stepwise import in_steps


class Stage:
    """The images that one attack works on, and those that wait for it.

    Args:
        attack: `Threads` or `Replicas`.
        num_steps: int. How many steps the attack makes at most.
        size: int. Images in each batch.
        seed: int32 array `(2,)`, or what else the attack takes in its place.
    """

    def __init__(self, attack, num_steps, size, seed):
        self._attack = attack
        self._size, self._seed = size, seed
        self.pace = Pace(num_steps)
        self._waiting = []
        # Arrays, the first dimension of which is the images at work.
        self._state = None

    def __len__(self):
        """The number of images that work or wait."""
        waiting = sum(len(rows) for *_, rows in self._waiting)
        return waiting + self._at_work

    @property
    def capacity(self):
        """How many images are attacked at once."""
        return self._size * self._attack.count

    @property
    def _at_work(self):
        return len(self.rows)

    @property
    def rows(self):
        """The numbers of the images at work, int array `(count,)`."""
        return np.zeros(0, "int32") if self._state is None else self._state.rows

    @property
    def steps_left(self):
        """How many steps are left for all images here, at most."""
        # Those at work are taken to be half-way.
        return self.pace.num_steps * (len(self) - self._at_work / 2)

    def add(self, images, labels, rows):
        """Lets images wait for the attack.

        Args:
            images: float32 array `(count, ...)`.
            labels: int32 array `(count,)`.
            rows: int32 array `(count,)`. Their numbers in the dataset.
        """
        if len(rows):
            self._waiting.append((images, labels, rows))

    def saved(self):
        """Returns the state of the images at work, and their numbers.

        Returns:
            List of arrays with these images in front, empty if there are none,
            and an int array `(count,)`.
        """
        state = [] if self._state is None else tf.nest.flatten(self._state)
        return state, self.rows

    def resume(self, images, labels, rows, state):
        """Puts images to work where they were interrupted.

        Args:
            images, labels, rows: see `add`.
            state: list of arrays for these images, as `saved` returned it.
        """
        if not len(rows):
            return
        # Only a state that was begun tells how such a list is to be nested.
        begun = self._begun((images, labels, rows))
        self._append(tf.nest.pack_sequence_as(begun, state))

    def work(self):
        """Makes a piece of the attack.

        Returns:
            Tuple of the numbers of the images that are done, and what became of
            them: an int array `(count,)` and a float32 array `(count, ...)`.
        """
        self._fill()
        start = time.perf_counter()
        states = self._attack.advance(
            self._shares(self._state), self._seed, np.int32(self.pace.steps)
        )
        self._state = _joined(states, self._at_work)
        seconds = self._attack.agreed(time.perf_counter() - start)
        self.pace.note(seconds, self._at_work)
        done = self._state.done
        left = tf.nest.map_structure(lambda x: x[~done], self._state)
        ready = self._state.rows[done], self._state.adversarial[done]
        self._state = left if len(left.done) else None
        return ready

    def _fill(self):
        """Lets images that wait begin, until all places are taken."""
        room = self.capacity - self._at_work
        taken = []
        while room > 0 and self._waiting:
            batch = self._waiting.pop(0)
            taken.append(tuple(part[:room] for part in batch))
            self._waiting[:0] = [tuple(p[room:] for p in batch)][
                : int(len(batch[-1]) > room)
            ]
            room -= len(taken[-1][-1])
        if not taken:
            return
        batch = tuple(map(np.concatenate, zip(*taken, strict=True)))
        self._append(self._begun(batch))

    def _begun(self, batch):
        """Returns the state of images that begin."""
        states = self._attack.begin(self._shares(batch), self._seed)
        return _joined(states, len(batch[-1]))

    def _append(self, new):
        """Puts images to work beside those that are at work."""
        if self._state is not None:
            new = tf.nest.map_structure(
                lambda *parts: np.concatenate(parts), self._state, new
            )
        self._state = new

    def _shares(self, batch):
        """Returns the parts of arrays that are worked on at once."""
        total = len(tf.nest.flatten(batch)[-1])
        size = self._size
        if not self._attack.fixed_size:
            size = -(-total // self._attack.count)
        shares = []
        for first in range(0, total, size):
            rows = np.arange(first, min(first + size, total))
            padded = len(rows) < size and self._attack.fixed_size
            if padded:
                # What fills a batch up is worked on in vain.
                rows = np.resize(rows, size)
            shares.append(
                tf.nest.map_structure(lambda x, rows=rows: x[rows], batch)
            )
        return shares


def new_stage(attack, network, num_classes, size, seed, strategy=None):
    """Returns a `Stage` without images.

    Args:
        attack: `Attack`.
        network: `CompiledNetwork`.
        num_classes: int >= 2. How many classes the network tells apart.
        size: int. Images in each batch.
        seed: int32 tensor `(2,)`.
        strategy: `tf.distribute.Strategy`, whose replicas attack a batch each.
            Defaults to threads.
    """
    return Stage(
        in_parallel(attack, network, strategy),
        in_steps(attack).num_steps(num_classes),
        size,
        np.asarray(seed),
    )


def attacked(empty, images, labels, chosen=None, rows=None):
    """Returns some images after an attack, and the others as they are.

    Args:
        empty: `Stage` without images.
        images: float32 tensor `(batch, ...)`.
        labels: tensor `(batch,)` or `(batch, num_classes)`.
        chosen: bool array `(batch,)`. The images to attack. Defaults to all.
        rows: int32 array `(batch,)`. The numbers of the images, all different,
            on which random numbers depend. Defaults to their places.

    Returns:
        float32 tensor like `images`.
    """
    found = np.array(images)
    places = np.arange(len(found), dtype="int32")
    rows = places if rows is None else rows
    if chosen is not None:
        places = places[np.asarray(chosen)]
    place_of = dict(zip(rows[places].tolist(), places.tolist(), strict=True))
    empty.add(found[places], np.asarray(labels)[places], rows[places])
    while len(empty):
        done, adversarial = empty.work()
        found[[place_of[row] for row in done.tolist()]] = adversarial
    return tf.constant(found)


def _joined(states, count):
    """Returns the first images of some states, in arrays."""
    return tf.nest.map_structure(
        lambda *parts: np.concatenate([np.asarray(p) for p in parts])[:count],
        *states,
    )

"""Attacks one after the other on what withstood the ones before."""

import dataclasses
import hashlib
import itertools
import os
import time
import zlib

import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks.seeds import fold_in
from keras_sat.checks.batches import batch_spec
from keras_sat.distribution import current_strategy
from keras_sat.distribution import xla
from keras_sat.evaluation import reading
from keras_sat.evaluation.parallel import Replicas
from keras_sat.evaluation.report import MISCLASSIFIED
from keras_sat.predictions.inference import inference
from keras_sat.predictions.labels import class_ids
from keras_sat.predictions.labels import is_right
from keras_sat.preprocessing.value_range import to_float

# What stands for the unattacked images among the indices of the attacks.
CLEAN = -1
# Images that leave the range further are taken for ones of another range.
SLACK = 0.1


@dataclasses.dataclass
class Batch:
    """Images, and what has become of each.

    Args:
        index: int. The place among the batches.
        images: float32 array, clipped to `value_range`.
        labels: int array `(batch,)`.
        excess: float array `(batch,)`. How far images left the range.
        outcomes: int array `(batch,)`; see `RobustnessReport`.
        adversarial: float32 array like `images`.
        seconds: float. What the attacks took.
    """

    index: int
    images: np.ndarray
    labels: np.ndarray
    excess: np.ndarray
    outcomes: np.ndarray | None = None
    adversarial: np.ndarray | None = None
    seconds: float = 0.0

    @property
    def checksum(self):
        """A number that changes with the images and labels."""
        return zlib.crc32(self.labels.tobytes(), zlib.crc32(self.images.data))


class Evaluator:
    """A classifier, as an evaluation sees it.

    Args:
        model: `keras.Model`, or function, from images to logits.
        value_range: pair of floats, or `None` for that of the model.
        seed: int >= 0.
        jit_compile: bool or `"auto"`.
    """

    def __init__(self, model, value_range=None, seed=0, jit_compile="auto"):
        checks.attackable("model", model)
        checks.integer("seed", seed, least=0)
        if value_range is None:
            value_range = getattr(model, "value_range", (0.0, 1.0))
        checks.value_range(value_range)
        self.model = model
        self.value_range = tuple(value_range)
        self.seed = seed
        self.strategy = current_strategy(model)
        self.jit_compile = jit_compile
        self.uses_xla = xla.wanted(jit_compile, model)
        self._expected = batch_spec(model, self.value_range, slack=SLACK)
        self.predict = inference(model)
        self._logits = tf.function(self.predict, autograph=False)

    def read(self, dataset, batch_size):
        """Checked batches.

        Args:
            dataset: see `evaluate_robustness`.
            batch_size: int. For arrays.

        Returns:
            Iterator of `Batch`, how many there are or `None`, and the logits of
            the first one.
        """
        checks.integer("batch_size", batch_size)
        stream, size = reading.stream(dataset, batch_size)
        first = next(stream, None)
        if first is None:
            described = checks.Described("no batch")
            checks.refuse("dataset", "not be empty", described)
        logits = self.logits(self._batch(0, *first).images)
        checks.not_probabilities("model", logits)
        # The labels of all batches, this one too, are checked against it.
        self._expected = dataclasses.replace(
            self._expected, num_classes=logits.shape[1]
        )
        stream = (
            self._batch(i, images, labels)
            for i, (images, labels) in enumerate(
                itertools.chain([first], stream)
            )
        )
        return stream, size, logits

    def logits(self, images):
        """Logits of float32 images, as an array of checked shape."""
        with self.strategy.scope():
            # For batches of any size, so that it is traced once.
            spec = tf.TensorSpec((None, *images.shape[1:]), tf.float32)
            function = self._logits.get_concrete_function(spec)
            logits = np.asarray(function(tf.convert_to_tensor(images)))
        checks.logits("model", logits, len(images))
        return logits

    def worst_cases(self, stream, attacks, journal, complete, on_attack):
        """Yields each batch once all attacks were tried on it.

        Args:
            stream: iterator of `Batch`.
            attacks: sequence of `Attack`.
            journal: `Journal` of this evaluation.
            complete: function from a `Batch` to whether the outcomes of the
                journal are all that is needed of it.
            on_attack: function, called with a `Batch` after each attack.
        """
        with self.strategy.scope():
            replicas = [
                Replicas(attack, self.model, self.jit_compile)
                for attack in attacks
            ]
            count = Replicas.count()
        while group := list(itertools.islice(stream, count)):
            for batch in group:
                self._classify(batch, len(attacks), journal)
            for i, replica in enumerate(replicas):
                todo = []
                for batch in group:
                    known = journal.get(batch.index, i)
                    if known and complete(batch):
                        batch.outcomes = np.asarray(known["outcomes"])
                        batch.seconds = known["seconds"]
                    else:
                        todo.append(batch)
                self._attack(i, attacks[i], replica, todo, journal)
                for batch in group:
                    on_attack(batch)
            yield from group

    def describe(self, attacks, epsilon, adversarial_dir, batch, logits):
        """What must be the same for an evaluation to be continued.

        Args:
            attacks: sequence of `Attack`.
            epsilon: float.
            adversarial_dir: str or path-like, or `None`.
            batch: `Batch`. The first one.
            logits: array. Its logits.

        Returns:
            Dict of what JSON can hold.
        """
        again = self.logits(batch.images)
        stable = np.allclose(logits, again, rtol=1e-3, atol=1e-3)
        return {
            "adversarial_dir": adversarial_dir
            and os.path.abspath(adversarial_dir),
            "attacks": [
                {"class": type(attack).__name__} | attack.get_config()
                for attack in attacks
            ],
            "epsilon": float(epsilon),
            "seed": self.seed,
            "value_range": list(map(float, self.value_range)),
            "xla": self.uses_xla,
            "weights": self._weights(),
            "predictions": logits[:4].astype(float).tolist() if stable else [],
        }

    def _batch(self, index, images, labels):
        self._expected.check(images, labels, number=index)
        low, high = self.value_range
        images = np.asarray(to_float(images, self.value_range))
        axes = tuple(range(1, images.ndim))
        below, above = low - images.min(axes), images.max(axes) - high
        return Batch(
            index,
            np.clip(images, low, high),
            np.asarray(class_ids(labels)).astype("int32"),
            np.maximum(np.maximum(below, above), 0.0) / (high - low),
        )

    def _classify(self, batch, withstood, journal):
        """The outcomes without attack, and the check of a resumed batch."""
        known = journal.get(batch.index, CLEAN)
        if known and known["checksum"] != batch.checksum:
            checks.refuse(
                "dataset",
                "give the batches of the evaluation that is continued",
                checks.Described(f"other images in batch {batch.index}"),
                "Do not shuffle, or delete the file at `state_path`.",
            )
        batch.adversarial = batch.images.copy()
        if known:
            batch.outcomes = np.asarray(known["outcomes"])
            return
        right = self._is_right(batch.images, batch.labels)
        batch.outcomes = np.where(right, withstood, MISCLASSIFIED)
        journal.add(
            batch.index,
            CLEAN,
            value={
                "checksum": batch.checksum,
                "outcomes": batch.outcomes.tolist(),
            },
        )

    def _attack(self, i, attack, replicas, todo, journal):
        """The attack of index `i` on the batches that it was not tried on."""
        start = time.perf_counter()
        seed = tf.constant([self.seed % 2**31, self.seed // 2**31], tf.int32)
        jobs = []
        for batch in todo:
            alive = batch.outcomes > i
            batch_seed = fold_in(fold_in(seed, batch.index), i)
            jobs.append((batch.images, batch.labels, batch_seed, alive))
        with self.strategy.scope():
            found = replicas(jobs)
        for (images, labels, _, alive), batch, adversarial in zip(
            jobs, todo, found, strict=True
        ):
            indices = np.flatnonzero(alive)
            if len(indices):
                # Judged on its own: whatever an attack returns, the ball holds.
                adversarial = np.asarray(attack.project(adversarial, images))
                right = self._is_right(adversarial[indices], labels[indices])
                broken = indices[~right]
                batch.outcomes[broken] = i
                batch.adversarial[broken] = adversarial[broken]
            batch.seconds += (time.perf_counter() - start) / len(todo)
            journal.add(
                batch.index,
                i,
                value={
                    "outcomes": batch.outcomes.tolist(),
                    "seconds": batch.seconds,
                },
            )

    def _is_right(self, images, labels):
        return np.asarray(is_right(labels, self.logits(images)))

    def _weights(self):
        """A hash of the variables of the model."""
        digest = hashlib.sha256()
        # The `weights` of a Keras model, unlike its variables, are without
        # metrics and seeds.
        variables = getattr(self.model, "variables", ())
        for variable in getattr(self.model, "weights", variables):
            digest.update(np.ascontiguousarray(variable).tobytes())
        return digest.hexdigest()

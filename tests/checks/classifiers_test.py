"""Tests of the networks that public functions accept and refuse."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.checks import outputs
from keras_sat.evaluation.evaluated_model import EvaluatedModel
from keras_sat.evaluation.experiments import Experiments
from tests.checks.networks import PGD
from tests.checks.networks import SHAPE
from tests.checks.networks import batch
from tests.checks.networks import dense
from tests.checks.networks import network
from tests.checks.networks import subclassed
from tests.test_case import TestCase

layers = keras.layers


def two_inputs():
    inputs = [keras.Input(SHAPE), keras.Input(SHAPE)]
    return keras.Model(inputs, dense()(layers.Flatten()(inputs[0])))


def in_two(kind):
    return lambda x: kind([dense()(x), dense()(x)])


def named(outputs):
    return {str(i): output for i, output in enumerate(outputs)}


def grey_levels():
    return keras.Sequential(
        [
            keras.Input(SHAPE, dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            dense(),
        ]
    )


# What is built, and what the error says.
NETWORKS = {
    "takes_integers": (grey_levels, "take one float.*uint8.*float32"),
    "takes_integers_inside": (
        lambda: keras.Sequential([keras.Input(SHAPE), grey_levels()]),
        "take one float.*uint8 of 'sequential.*Build it",
    ),
    "two_inputs": (two_inputs, "take one float.*Received 2 inputs"),
    "two_outputs": (lambda: network(in_two(list)), "one output.*2 outputs"),
    "named_outputs": (
        lambda: network(in_two(named)),
        r"one output, the logits. Received 2 outputs in a dict.*\['0'\]",
    ),
    "a_list_of_one": (lambda: network(lambda x: [dense()(x)]), "one output"),
    "one_unit": (lambda: network(dense(units=1)), "two classes.*the logit 0"),
    "feature_maps": (
        lambda: network(lambda x: layers.Reshape((1, 2, 24))(x)),
        r"\(batch, num_classes\). Received outputs of the shape \(",
    ),
    "sequences": (
        lambda: network(lambda x: layers.Reshape((2, 24))(x)),
        r"\(batch, num_classes\). Received outputs of the shape \(",
    ),
    "softmax": (lambda: network(dense("softmax")), "return logits"),
    "a_subclassed_one_with_one_unit": (
        lambda: subclassed(None, 1),
        "two classes.*the logit 0",
    ),
}


def evaluate(model):
    keras_sat.evaluate_robustness(
        model, batch(), PGD, diagnose=False, verbose=0
    )


def diagnose(model):
    images, labels = batch()
    Experiments(
        evaluated=EvaluatedModel(model),
        images=images,
        labels=labels.astype("int32"),
        withstood=np.ones(4, bool),
        epsilon=0.1,
        norm="linf",
        seed=np.array([0, 1], "int32"),
    ).outputs()


# Those that take functions, too.
ATTACKED = {
    "pgd": lambda model: PGD(model, *batch()),
    "fab": lambda model: keras_sat.FAB(steps=1).minimal_perturbation(
        model, *batch()
    ),
    "auto_attack": lambda model: keras_sat.AutoAttack(attacks=(PGD,))(
        model, *batch()
    ),
    "compiled": lambda model: keras_sat.attacks.compiled(PGD, model)(
        *batch(), (0, 1)
    ),
    "evaluate_robustness": evaluate,
    "robustness_curve": lambda model: keras_sat.robustness_curve(
        model, batch(), [0.1], PGD, verbose=0
    ),
    "convergence_curve": lambda model: keras_sat.convergence_curve(
        model, batch(), [1], verbose=0
    ),
    "diagnostics": diagnose,
}


class EntrancesTest(TestCase):
    def entrances(self):
        """Returns functions of a network by their names."""
        path = f"{self.get_temp_dir()}/network"
        return ATTACKED | {
            "SATModel": keras_sat.SATModel,
            "attack_model": lambda model: keras_sat.SATModel(
                subclassed(), attack_model=model
            ),
            "saved_model": lambda model: keras_sat.export.saved_model(
                model, path
            ),
            "other_format": lambda model: keras_sat.export.other_format(
                model, f"{path}.tflite", "litert"
            ),
            "load_classifier": self.load,
        }

    def load(self, model):
        path = f"{self.get_temp_dir()}/network.keras"
        model.save(path)
        return keras_sat.load_classifier(path)

    @parameterized.named_parameters(
        (name, *case) for name, case in NETWORKS.items()
    )
    def test_what_is_no_classifier_is_refused_everywhere(self, build, message):
        model = build()
        for name, enter in self.entrances().items():
            with self.subTest(name):
                expected = f"`(attack_)?model` must .*{message}"
                with self.assertRaisesRegex(ValueError, expected):
                    enter(model)

    def test_probabilities_that_only_outputs_tell_of_are_refused(self):
        probabilities = subclassed("softmax")
        for model in (probabilities, lambda x: probabilities(x)):
            for name, enter in ATTACKED.items():
                # These see no outputs outside of a compiled function.
                if name in ("compiled", "diagnostics"):
                    continue
                with self.subTest(name):
                    with self.assertRaisesRegex(
                        ValueError, "`model` must return logits.*sum to 1"
                    ):
                        enter(model)

    def test_a_built_subclassed_network_works_everywhere(self):
        model = subclassed()
        self.assertEqual(outputs.shapes(model), (SHAPE, 5))
        for name, enter in self.entrances().items():
            if name == "other_format":
                continue
            with self.subTest(name):
                enter(model)

    def test_a_subclassed_network_trains_and_is_saved(self):
        model = keras_sat.SATModel(subclassed(), attack=PGD, eval_attack=PGD)
        images, labels = batch()
        model.fit(images, labels, verbose=0)
        before = model.model(images)
        self.assertAllClose(model.predict(images, verbose=0), before)
        self.assertLen(model.evaluate(images, labels, verbose=0), 3)
        with self.assertRaisesRegex(ValueError, "`images` must have the shape"):
            model.predict(np.zeros((2, 5, 4, 3)), verbose=0)
        with self.assertRaisesRegex(ValueError, "num_classes=5"):
            model.fit(images, labels + 2, verbose=0)
        path = f"{self.get_temp_dir()}/subclassed.keras"
        model.save(path)
        loaded = keras_sat.load_model(path)
        self.assertAllEqual(loaded.model(images), before)

    def test_what_a_network_contains_under_the_name_model_is_not_it(self):
        class Wrapped(keras.Model):
            def __init__(self):
                super().__init__()
                self.model = network(dense())

            def call(self, images):
                return 2 * self.model(images)

        model = Wrapped()
        images, _ = batch()
        logits = model(images)
        path = f"{self.get_temp_dir()}/wrapped"
        keras_sat.export.saved_model(model, path)
        loaded = tf.saved_model.load(path)
        self.assertAllClose(loaded.serve(images), logits, rtol=0, atol=1e-6)

    @pytest.mark.large
    def test_a_sat_model_goes_where_it_is_a_classifier(self):
        model = keras_sat.SATModel(network(dense()))
        for name, enter in self.entrances().items():
            if name in ("SATModel", "attack_model", "other_format"):
                continue
            with self.subTest(name):
                enter(model)

    @parameterized.parameters(
        keras_sat.SATModel,
        lambda model: keras_sat.SATModel(model.model, attack_model=model),
        keras_sat.convert_activations,
        keras_sat.activation_sites,
        lambda model: keras_sat.load_official_checkpoint(model, "file"),
    )
    def test_a_sat_model_is_refused_where_a_network_is_meant(self, enter):
        model = keras_sat.SATModel(network(dense()))
        with self.assertRaisesRegex(
            TypeError, "must be a network. Received a SATModel.*its `.model`"
        ):
            enter(model)

    @parameterized.parameters(
        keras_sat.convert_activations, keras_sat.activation_sites
    )
    def test_a_graph_is_needed_to_look_for_activations(self, enter):
        with self.assertRaisesRegex(ValueError, "functional or sequential"):
            enter(subclassed())
        with self.assertRaisesRegex(ValueError, "`model` must be built"):
            enter(keras.Sequential([dense()]))
        with self.assertRaisesRegex(TypeError, "must be a keras.Model"):
            enter(tf.nn.relu)

    def test_the_way_out_of_integers_works(self):
        old = grey_levels()
        inputs = keras.Input(SHAPE)
        new = keras.models.clone_model(old, input_tensors=inputs)
        new.set_weights(old.get_weights())
        model = keras_sat.SATModel(new, value_range=(0, 255))
        levels = np.random.default_rng(0).integers(0, 256, (4, *SHAPE))
        levels = levels.astype("uint8")
        self.assertAllClose(model(levels), old(levels), rtol=0, atol=1e-5)


class Remote:
    """A classifier that takes and returns NumPy arrays."""

    def __init__(self, size=48):
        self.weights = np.random.default_rng(0).normal(size=(size, 5))

    def predict_proba(self, images):
        return np.reshape(images, (len(images), -1)) @ self.weights

    def as_numbers(self, images):
        return np.array(images.tolist()).reshape(len(images), -1)


REMOTE = Remote()


class FunctionsTest(TestCase):
    @parameterized.parameters(
        REMOTE.predict_proba,
        REMOTE.as_numbers,
        lambda x: x.numpy().reshape(len(x), -1)[:, :5],
    )
    def test_functions_of_arrays_are_refused(self, function):
        for name, enter in ATTACKED.items():
            # Outside of a compiled function, tensors are arrays to NumPy.
            if name in ("pgd", "fab", "auto_attack", "diagnostics"):
                continue
            with self.subTest(name):
                with self.assertRaisesRegex(
                    TypeError,
                    "`model` must be a keras.Model, or a function of TensorFlow"
                    " operations, from images to logits. Received .*, with .*"
                    "web service has no gradients",
                ):
                    enter(function)
        with self.assertRaisesRegex(
            (TypeError, ValueError), "`model` must be (a keras.M|differ)"
        ):
            PGD(function, *batch())

    @parameterized.parameters(
        (lambda x: None, "return a tensor of logits. Received a NoneType"),
        (lambda x: {"a": x, "b": x}, r"one output.*2 outputs.*\['a'\]"),
        (lambda x: tf.reduce_sum(x, (1, 2, 3)), r"logits of the shape"),
        (lambda x: x, r"logits of the shape \(batch, num_classes\)"),
        (lambda x: x[:, 0, 0, :1], "the logit 0"),
        (lambda x: x[:1, 0, 0], r"shape \(batch, num_classes\)"),
    )
    def test_what_returns_no_logits_is_refused(self, function, message):
        for name, enter in ATTACKED.items():
            # The size of a batch is open there.
            open_size = name in ("compiled", "convergence_curve")
            if function(batch()[0]) is not None and open_size:
                continue
            with self.subTest(name):
                with self.assertRaisesRegex(
                    (TypeError, ValueError), f"`model` must .*{message}"
                ):
                    enter(function)

    def test_what_cannot_be_called_is_refused(self):
        for name, enter in ATTACKED.items():
            with self.subTest(name):
                with self.assertRaisesRegex(
                    TypeError, "from images to logits.*load_classifier"
                ):
                    enter("model.keras")

    def test_logarithms_of_probabilities_are_logits(self):
        model = network(dense())

        def function(images):
            return tf.nn.log_softmax(model(images))

        images, labels = batch()
        # Its steps have the length of the ball, however small a gradient is.
        attack = PGD.replace(norm="l2")
        self.assertAllClose(
            attack(function, images, labels, (0, 1)),
            attack(model, images, labels, (0, 1)),
            rtol=0,
            atol=1e-5,
        )

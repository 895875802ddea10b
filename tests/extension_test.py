"""Uses the attacks, objective and activations of `tests/extensions.py`.

They are made as a user would make them, and used wherever the package takes
such things.
"""

import ast
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from tests import extensions
from tests.attacks.problems import Linear
from tests.extensions import LearnedSwish
from tests.extensions import LogitPairing
from tests.extensions import RandomSearch
from tests.extensions import SteepestStep
from tests.extensions import serf
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


def serf_by_numpy(x):
    return x * np.asarray(tf.math.erf(np.logaddexp(0, x)))


def betas(model):
    """Returns the weights of all `LearnedSwish` in a model."""
    return [v for v in model.trainable_variables if v.name == "sharpness"]


def losses(problem, *batches):
    """Returns the loss of each image, for each batch."""
    loss = keras_sat.CrossEntropy(reduction=None)
    return [loss(problem.labels, problem.model(batch)) for batch in batches]


def places(model):
    """Returns how many ReLU a model has."""
    kinds = [kind for _, kind in keras_sat.activation_sites(model)]
    return kinds.count("relu")


def network(activation, classes=5):
    """Returns a small convolutional network, and a batch for it."""
    images = np.random.default_rng(0).uniform(size=(16, 8, 8, 3))
    labels = np.arange(16) % classes
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(8, 3),
            keras.layers.BatchNormalization(momentum=0.9),
            activation,
            keras.layers.Flatten(),
            keras.layers.Dense(classes),
        ]
    )
    return model, images.astype("float32"), labels.astype("int32")


class PublicTest(TestCase):
    @parameterized.parameters(__file__, extensions.__file__)
    def test_public_names_are_enough(self, path):
        tree = ast.parse(pathlib.Path(path).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                self.assertNotRegex(node.module, "^keras_sat")
            elif isinstance(node, ast.Attribute):
                self.assertNotRegex(node.attr, "^_[^_]")


class AttackTest(TestCase):
    @parameterized.product(
        attack=[SteepestStep(), RandomSearch(queries=20)],
        norm=["linf", "l2"],
        value_range=[(0.0, 1.0), (-1.0, 1.0)],
    )
    def test_stays_in_the_ball_and_raises_the_loss(
        self, attack, norm, value_range
    ):
        problem = Linear(5, value_range=value_range)
        attack = attack.replace(epsilon=0.1, norm=norm, value_range=value_range)
        weights = problem.model.get_weights()
        found = attack(problem.model, problem.images, problem.labels, (1, 2))
        self.assertAllInRange(found, *value_range)
        sizes = attack.ball.size(found - problem.images)
        self.assertAllLessEqual(sizes, attack.epsilon * attack.width + 1e-6)
        before, after = losses(problem, problem.images, found)
        self.assertAllGreater(after - before, 0)
        self.assert_same_bits(problem.model.get_weights(), weights)

    @parameterized.parameters("linf", "l2")
    def test_one_step_breaks_what_the_closed_form_says(self, norm):
        problem = Linear(2)
        distances = problem.distances(norm)
        for epsilon in problem.epsilons(norm):
            attack = SteepestStep(epsilon=epsilon, norm=norm)
            found = attack(problem.model, problem.images, problem.labels)
            self.assertAllEqual(problem.broken(found), distances < epsilon)

    def test_one_step_is_the_sign_of_the_gradient(self):
        model, images, labels = self.tiny_classifier()
        ours = SteepestStep(epsilon=0.1)(model, images, labels)
        theirs = keras_sat.PGD(
            epsilon=0.1, step_size=0.1, steps=1, random_start=False
        )(model, images, labels)
        self.assert_same_bits(ours, theirs)

    def test_random_search_follows_its_seed_and_takes_restarts(self):
        problem = Linear(5)
        attack = RandomSearch(epsilon=0.1, queries=3)
        one, same, other, worst = (
            variant(problem.model, problem.images, problem.labels, seed)
            for variant, seed in (
                (attack, (1, 2)),
                (attack, (1, 2)),
                (attack, (3, 4)),
                (attack.replace(restarts=3), (1, 2)),
            )
        )
        self.assert_same_bits(one, same)
        self.assertNotAllClose(one, other)
        # The first of the three attempts is `one`, so none is worse.
        alone, of_three = losses(problem, one, worst)
        self.assertAllGreaterEqual(of_three - alone, 0)
        self.assertGreater(np.mean(of_three - alone), 0)

    def test_a_wrong_argument_is_refused(self):
        with self.assertRaisesRegex(ValueError, "`queries` must be at least 1"):
            RandomSearch(queries=0)
        with self.assertRaisesRegex(ValueError, "`epsilon` must be at most 1"):
            RandomSearch(epsilon=8.0)

    @parameterized.parameters(
        SteepestStep(norm="l2", epsilon=0.5),
        RandomSearch(queries=7, loss="margin"),
        keras_sat.AutoAttack(attacks=[RandomSearch(queries=3), "square"]),
        LogitPairing(weight=2.0),
    )
    def test_survives_saving(self, configured):
        description = keras.saving.serialize_keras_object(configured)
        self.assertEqual(
            keras.saving.deserialize_keras_object(description), configured
        )


class EvaluationTest(TestCase):
    @parameterized.product(norm=["linf", "l2"], jit_compile=[False, True])
    def test_alone_the_report_has_the_accuracy_of_the_closed_form(
        self, norm, jit_compile
    ):
        problem = Linear(2)
        epsilon = problem.epsilons(norm)[1]
        report = keras_sat.evaluate_robustness(
            problem.model,
            (problem.images, problem.labels),
            SteepestStep(norm=norm),
            epsilon,
            batch_size=20,
            jit_compile=jit_compile,
            diagnose=False,
            verbose=0,
        )
        self.assertEqual(report.attacks, ("SteepestStep",))
        self.assertEqual(report.clean_accuracy, 1.0)
        self.assertAllClose(
            report.robust_accuracy,
            np.mean(problem.distances(norm) > epsilon),
        )
        self.assertIn("SteepestStep", str(report))

    @pytest.mark.large
    def test_beside_others_each_has_what_the_ones_before_have_left(self):
        problem = Linear(5)
        epsilon = problem.epsilons("linf")[1]
        attacks = [RandomSearch(queries=5), "apgd-ce", SteepestStep(), "fab-t"]
        report = keras_sat.evaluate_robustness(
            problem.model,
            (problem.images, problem.labels),
            attacks,
            epsilon,
            verbose=0,
        )
        self.assertEqual(
            report.attacks, ("RandomSearch", "APGD-CE", "SteepestStep", "FAB-T")
        )
        # Together they find what can be found, as FAB is exact here.
        self.assertAllClose(
            report.robust_accuracy,
            np.mean(problem.distances("linf") > epsilon),
        )
        # No attack is credited with an image that random search had broken.
        alone = keras_sat.evaluate_robustness(
            problem.model,
            (problem.images, problem.labels),
            attacks[:1],
            epsilon,
            diagnose=False,
            verbose=0,
        )
        self.assertAllEqual(report.outcomes == 0, alone.outcomes == 0)

    def test_a_killed_evaluation_goes_on_from_its_journal(self):
        problem = Linear(2)
        path = pathlib.Path(self.get_temp_dir()) / "state.jsonl"
        reports = [
            keras_sat.evaluate_robustness(
                problem.model,
                (problem.images, problem.labels),
                RandomSearch(epsilon=0.1),
                state_path=path,
                diagnose=False,
                verbose=0,
            )
            for _ in range(2)
        ]
        self.assertAllEqual(reports[0].outcomes, reports[1].outcomes)
        with self.assertRaisesRegex(ValueError, "`state_path` must"):
            keras_sat.evaluate_robustness(
                problem.model,
                (problem.images, problem.labels),
                RandomSearch(epsilon=0.1, queries=11),
                state_path=path,
                diagnose=False,
                verbose=0,
            )

    def test_an_ensemble_is_as_strong_as_its_members(self):
        problem = Linear(2)
        epsilon = problem.epsilons("linf")[1]
        ensemble = keras_sat.AutoAttack(
            epsilon=epsilon, attacks=[RandomSearch(queries=2), SteepestStep()]
        )
        found = ensemble(problem.model, problem.images, problem.labels, (1, 2))
        self.assertAllEqual(
            problem.broken(found), problem.distances("linf") < epsilon
        )

    def test_an_ensemble_takes_models_without_gradients(self):
        problem = Linear(2)

        def rounded(images):
            return problem.model(tf.round(255 * images) / 255)

        labels = np.argmax(rounded(problem.images), 1)
        ensemble = keras_sat.AutoAttack(
            epsilon=0.3, attacks=[SteepestStep(), RandomSearch(queries=50)]
        )
        with self.assertLogs("absl", "WARNING") as logs:
            found = ensemble(rounded, problem.images, labels, (1, 2))
        self.assertIn("SteepestStep takes the gradient", logs.output[0])
        broken = np.argmax(rounded(found), 1) != labels
        self.assertGreater(broken.sum(), 0)

    def test_a_curve_is_that_of_the_closed_form(self):
        problem = Linear(2)
        epsilons = problem.epsilons("linf")
        curve = keras_sat.robustness_curve(
            problem.model,
            (problem.images, problem.labels),
            [0, *epsilons],
            SteepestStep(),
            verbose=0,
        )
        distances = problem.distances("linf")
        expected = {e: np.mean(distances > e) for e in (0.0, *epsilons)}
        self.assertEqual(list(curve), list(expected))
        self.assertAllClose(list(curve.values()), list(expected.values()))


class ObjectiveTest(TestCase):
    def test_a_step_of_training_is_that_of_the_formula(self):
        generator = np.random.default_rng(0)
        images = generator.uniform(0.3, 0.7, (6, 2, 2, 1)).astype("float32")
        labels = np.array([0, 1, 2, 0, 1, 2])
        kernel = generator.normal(size=(4, 3))
        layer = keras.layers.Dense(3, use_bias=False)
        inner = keras.Sequential(
            [keras.Input((2, 2, 1)), keras.layers.Flatten(), layer]
        )
        layer.set_weights([kernel])
        model = keras_sat.SATModel(
            inner,
            attack=SteepestStep(epsilon=0.1),
            objective=LogitPairing(weight=2.0),
        )
        loss = keras_sat.CrossEntropy()
        model.compile(keras.optimizers.SGD(0.5), loss, weight_decay=0.0)
        found = model.train_on_batch(images, labels, return_dict=True)

        def excess(x):
            """Probabilities minus labels: the gradient in the logits."""
            exp = np.exp(x @ kernel)
            return exp / exp.sum(1, keepdims=True) - np.eye(3)[labels]

        x = images.reshape(6, 4).astype("float64")
        attacked = x + 0.1 * np.sign(excess(x) @ kernel.T)
        apart = (x - attacked) @ kernel
        gradient = attacked.T @ excess(attacked) / 6
        gradient += 2.0 * 2 * (x - attacked).T @ apart / apart.size
        logits = attacked @ kernel
        likelihood = np.log(np.exp(logits).sum(1)) - logits[range(6), labels]
        expected = likelihood.mean() + 2.0 * np.square(apart).mean()
        self.assert_same_up_to_rounding(found["loss"], expected)
        self.assert_same_up_to_rounding(
            layer.get_weights()[0], kernel - 0.5 * gradient
        )


class ActivationTest(TestCase):
    @parameterized.parameters(
        lambda a: keras_sat.resnet(18, a, 5, (16, 16, 3), stem="small"),
        lambda a: keras_sat.resnext(50, a, 5, (32, 32, 3)),
        lambda a: keras_sat.wide_resnet(10, 1, a, 5, (16, 16, 3)),
        lambda a: keras_sat.efficientnet(
            "b0",
            a,
            5,
            (32, 32, 3),
            width_coefficient=0.25,
            depth_coefficient=0.1,
        ),
    )
    def test_each_place_of_a_network_has_one_of_its_own(self, build):
        expected = places(build("relu"))
        for activation in (LearnedSwish, LearnedSwish(beta=1.0)):
            learned = betas(build(activation))
            self.assertLen({id(beta) for beta in learned}, expected)
        plain = build(serf)
        layers = [
            layer
            for layer in plain.layers
            if getattr(layer, "activation", None) is serf
        ]
        self.assertLen(layers, expected)
        self.assertEqual(places(plain), 0)

    @parameterized.parameters(serf, LearnedSwish)
    def test_a_relu_network_is_converted(self, activation):
        model, images, _ = network(keras.layers.ReLU())
        converted = keras_sat.convert_activations(model, activation)
        before = model.layers[1](model.layers[0](images), training=False)
        before = np.asarray(before, "float64")
        if activation is serf:
            after = serf_by_numpy(before)
        else:
            after = before / (1 + np.exp(-before))
        kernel, bias = model.layers[-1].get_weights()
        self.assert_same_up_to_rounding(
            converted(images, training=False),
            after.reshape(len(images), -1) @ kernel + bias,
            roundings=2 * len(kernel) + 100,
            scale=np.abs(after).max() * np.abs(kernel).sum(0).max(),
        )
        self.assertLen(betas(converted), int(activation is LearnedSwish))

    def test_a_recipe_with_it_can_be_written_as_json(self):
        recipe = keras_sat.recipes.cifar10(activation=serf)
        description = keras.saving.serialize_keras_object(recipe)
        text = json.loads(json.dumps(description))
        self.assertEqual(keras.saving.deserialize_keras_object(text), recipe)

    @parameterized.parameters(serf, LearnedSwish)
    def test_a_recipe_trains_with_it(self, activation):
        recipe = keras_sat.recipes.cifar10(
            network="wide_resnet10_1",
            network_options={},
            activation=activation,
            image_size=8,
            batch_size=8,
            steps=2,
            epochs=1,
            warmup_epochs=0,
        )
        model = recipe.model(num_classes=5)
        _, images, labels = network(keras.layers.ReLU())
        recipe.compile(model, steps_per_epoch=2)
        before = model.get_weights()
        model.fit(images, labels, batch_size=8, verbose=0)
        self.assertNotAllClose(before[0], model.get_weights()[0])
        relu = keras_sat.models.get("wide_resnet10_1", activation="relu")
        count = places(relu) if activation is LearnedSwish else 0
        learned = betas(model)
        self.assertLen(learned, count)
        # Learned, each in its own way.
        self.assertLen({float(beta) for beta in learned}, count)
        self.assertNotIn(1.0, [float(beta) for beta in learned])


class ModelTest(TestCase):
    """Everything at once, from training to the exported model."""

    def setUp(self):
        super().setUp()
        inner, self.images, self.labels = network(LearnedSwish(beta=1.5))
        self.model = keras_sat.SATModel(
            inner,
            attack=RandomSearch(epsilon=0.1, queries=4),
            eval_attack=SteepestStep(epsilon=0.1),
            objective=LogitPairing(weight=0.1),
        )
        self.model.compile(keras.optimizers.SGD(0.05, momentum=0.9))

    def fit(self, epochs):
        history = self.model.fit(
            self.images,
            self.labels,
            batch_size=16,
            epochs=epochs,
            validation_data=(self.images, self.labels),
            verbose=0,
        )
        return history.history

    @pytest.mark.large
    def test_learns_against_the_attacks(self):
        logs = self.fit(epochs=20)
        self.assertLess(logs["loss"][-1], 0.7 * logs["loss"][0])
        self.assertGreater(logs["robust_accuracy"][-1], 0.5)
        (beta,) = betas(self.model)
        self.assertNotAllClose(beta, 1.5, atol=1e-4)
        # `evaluate` is the attack that was given, and any other.
        inner = self.model.model
        for attack in (self.model.eval_attack, RandomSearch(epsilon=0.05)):
            found = self.model.evaluate(
                self.images,
                self.labels,
                attack=attack,
                return_dict=True,
                verbose=0,
            )
            right = np.argmax(inner(self.images), 1) == self.labels
            self.assertAllClose(found["clean_accuracy"], right.mean())
            self.assertLessEqual(
                found["robust_accuracy"], found["clean_accuracy"]
            )

    @pytest.mark.large
    def test_is_the_same_after_loading_and_trains_on(self):
        self.use_deterministic_ops()
        self.fit(epochs=2)
        path = pathlib.Path(self.get_temp_dir()) / "model.keras"
        self.model.save(path)
        loaded = keras_sat.load_model(path)
        self.assertEqual(loaded.attack, self.model.attack)
        self.assertEqual(loaded.eval_attack, self.model.eval_attack)
        self.assertEqual(loaded.objective, self.model.objective)
        self.assert_same_bits(loaded.get_weights(), self.model.get_weights())
        for model in (loaded, self.model):
            model.fit(self.images, self.labels, shuffle=False, verbose=0)
        self.assert_same_bits(loaded.get_weights(), self.model.get_weights())
        logs = [
            model.evaluate(self.images, self.labels, verbose=0)
            for model in (loaded, self.model)
        ]
        self.assertEqual(*logs)
        self.assertEqual(
            keras_sat.load_classifier(path).count_params(),
            self.model.model.count_params(),
        )

    def test_what_is_exported_needs_none_of_it(self):
        path = pathlib.Path(self.get_temp_dir()) / "exported"
        self.model.export(path)
        logits = keras_sat.load_classifier(path)(self.images)
        self.assert_same_up_to_rounding(
            logits, self.model.predict(self.images, verbose=0)
        )

    @pytest.mark.large
    def test_best_epoch_and_interrupted_training_know_it(self):
        folder = pathlib.Path(self.get_temp_dir())
        data = tf.data.Dataset.from_tensor_slices((self.images, self.labels))
        data = data.batch(16)
        chosen = keras_sat.callbacks.standard(self.model, folder, data)
        self.model.fit(
            data, epochs=2, validation_data=data, callbacks=chosen, verbose=0
        )
        best = keras_sat.load_model(folder / "best.keras")
        self.assertEqual(best.objective, LogitPairing(weight=0.1))
        self.assertEqual(best.attack, RandomSearch(epsilon=0.1, queries=4))

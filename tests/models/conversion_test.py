"""Tests of `convert_activations`; `families_test.py` has those of others."""

import contextlib
import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat import PGD
from keras_sat import SATModel
from keras_sat import activation_sites
from keras_sat import convert_activations
from keras_sat.activations import ParametricSoftplus
from keras_sat.models import activation_places
from tests.models.networks import MIXED
from tests.models.networks import images
from tests.models.networks import in_policy
from tests.models.networks import mixed
from tests.models.networks import mobile
from tests.models.networks import quantized
from tests.models.networks import relus
from tests.models.networks import sites_of
from tests.models.networks import with_block
from tests.models.networks import wrapped
from tests.test_case import PASS
from tests.test_case import TestCase
from tests.test_case import logits_of
from tests.test_case import roundings

pytestmark = pytest.mark.numeric

layers = keras.layers


class ConvertActivationsTest(TestCase):
    def test_replaces_each_kind_and_says_where(self):
        lines = []
        model = convert_activations(mixed(), "mish", print_fn=lines.append)
        self.assertEmpty(sites_of(model))
        for path, name in MIXED.items():
            self.assertIn(f"{path}: {name} -> mish", lines)
        self.assertLen(lines, 8)
        self.assertEqual(
            lines[-1],
            "7 activations replaced, others: 1 hard_sigmoid, 1 silu, 1 softmax",
        )

    def test_the_summary_is_printed_by_default(self):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            convert_activations(mixed(), "mish")
        self.assertEqual(
            output.getvalue(),
            "7 activations replaced, others: 1 hard_sigmoid, 1 silu, "
            "1 softmax\n",
        )

    @parameterized.parameters(mobile, with_block)
    def test_only_what_was_replaced_is_gone(self, build):
        model = convert_activations(build(), smooth_gates=True)
        names = [*activation_places.NON_SMOOTH, "hard_sigmoid"]
        self.assertEmpty(sites_of(model, names))
        self.assertEmpty(relus(model))
        self.assertNotEmpty(relus(build()))

    def test_a_hard_swish_becomes_silu_and_its_gate_a_sigmoid(self):
        model = mobile()
        smooth = convert_activations(model, smooth_gates=True)
        x = model.layers[1](images())
        x = tf.nn.silu(x)
        x = tf.nn.silu(model.get_layer("conv2")(x))
        x = x * tf.nn.sigmoid(model.get_layer("gate")(x))
        self.assert_same_up_to_rounding(
            smooth(images()), tf.reshape(x, (2, -1)), roundings(model)
        )

    def test_the_gates_stay_unless_asked_for(self):
        model = convert_activations(mixed())
        self.assertIs(
            model.get_layer("gate").activation, keras.activations.hard_sigmoid
        )
        model = convert_activations(mixed(), smooth_gates=True)
        self.assertIs(
            model.get_layer("gate").activation, keras.activations.sigmoid
        )

    def test_equals_the_original_with_the_same_activation(self):
        for build in (with_block, self.tiny_relu):
            model = build()
            same = convert_activations(model, "relu")
            x = images()
            self.assert_same_bits(same(x), model(x))
            smooth = convert_activations(model)
            self.assertNotAllClose(smooth(x), model(x), rtol=0, atol=1e-3)

    def tiny_relu(self):
        inputs = keras.Input((8, 8, 3))
        x = layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
        x = layers.BatchNormalization()(x)
        x = layers.Flatten()(keras.ops.relu(x - 0.1))
        return keras.Model(inputs, layers.Dense(3)(x))

    def test_smooth_ones_are_replaced_if_all_are(self):
        model = convert_activations(mixed(), "mish", replace="all")
        kinds = {name for _, name in activation_sites(model)}
        self.assertEqual(kinds, {"mish", "hard_sigmoid", "softmax"})

    def test_the_softmax_can_be_left_out(self):
        for last in (
            lambda x: layers.Dense(5, activation="softmax")(x),
            lambda x: layers.Softmax()(x),
            lambda x: layers.Activation("softmax")(x),
            lambda x: keras.ops.softmax(x),
            keras.Sequential([keras.Input((4,)), layers.Softmax()]),
        ):
            inputs = keras.Input((4,))
            x = layers.Dense(4, activation="relu")(inputs)
            model = keras.Model(inputs, last(x))
            logits = convert_activations(model, "relu", remove_softmax=True)
            x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
            self.assert_same_up_to_rounding(
                tf.nn.softmax(logits(x)), model(x), roundings=20
            )
            self.assertNotAllClose(logits(x), model(x))

    @parameterized.parameters(mixed, with_block)
    def test_a_learnable_activation_has_a_weight_at_each_site(self, build):
        count = len(convert_activations(build(), "relu").weights)
        model = convert_activations(build(), "smoothrelu")
        roots = [w for w in model.trainable_weights if w.name == "root"]
        self.assertLen({id(root) for root in roots}, len(roots))
        replaced = 7 if build is mixed else 3
        self.assertLen(roots, replaced)
        self.assertLen(model.weights, count + replaced)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model(images())))
        for root, slope in zip(roots, tape.gradient(loss, roots), strict=True):
            self.assertIsNotNone(slope, root.path)
        path = f"{self.get_temp_dir()}/model.keras"
        for root in roots:
            root.assign_add(0.5 * tf.ones_like(root))
        model.save(path)
        loaded = keras.saving.load_model(path)
        self.assert_same_bits(loaded(images()), model(images()))
        kinds = [name for _, name in activation_sites(loaded)]
        self.assertEqual(kinds, [name for _, name in activation_sites(model)])

    @parameterized.product(share=(False, True), build=(mixed, with_block))
    def test_weights_are_copied_or_shared(self, share, build):
        model = build()
        twin = convert_activations(model, share_weights=share)
        mine = {id(w) for w in model.weights if w.name != "alpha"}
        theirs = {id(weight) for weight in twin.weights}
        self.assertLen(theirs, len(mine))
        self.assertEqual(theirs == mine, share)
        before = twin(images())
        for weight in model.weights:
            weight.assign_add(tf.ones_like(weight))
        same = np.array_equal(twin(images()), before)
        self.assertEqual(same, not share)

    def test_sequential_models_stay_sequential(self):
        model = keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                layers.Conv2D(4, 3, activation="relu", name="conv"),
                layers.Flatten(),
                layers.Dense(3, activation="softmax"),
            ]
        )
        smooth = convert_activations(
            model, ParametricSoftplus(5.0), remove_softmax=True
        )
        self.assertIsInstance(smooth, keras.Sequential)
        kinds = [name for _, name in activation_sites(smooth)]
        self.assertEqual(kinds, ["parametric_softplus"])
        self.assertEqual(smooth.get_layer("conv_activation").alpha, 5.0)
        x = model.get_layer("conv").kernel
        self.assertAllEqual(smooth.get_layer("conv").kernel, x)

    def test_refuses_subclassed_models(self):
        class Subclassed(keras.Model):
            def build(self, shape):
                self.built = True

            def call(self, x):
                return keras.ops.relu(x)

        class Overriding(keras.Model):
            def call(self, x):
                return keras.ops.relu(super().call(x))

        plain = Subclassed()
        plain(images())
        inputs = keras.Input((8, 8, 3))
        for model in (plain, Overriding(inputs, layers.Flatten()(inputs))):
            with self.assertRaisesRegex(
                ValueError,
                "functional or sequential.*subclassed model .*Pass another",
            ):
                convert_activations(model)

    def test_refuses_what_is_no_model_or_not_built(self):
        with self.assertRaisesRegex(TypeError, "`model` must be a keras.Model"):
            convert_activations(lambda x: x)
        with self.assertRaisesRegex(ValueError, "`model` must be built"):
            convert_activations(keras.Sequential([layers.Dense(3)]))
        with self.assertRaisesRegex(ValueError, "`activation` must be one of"):
            convert_activations(mixed(), "rely")
        with self.assertRaisesRegex(ValueError, "`replace` must be one of"):
            convert_activations(mixed(), replace="some")


def small_efficientnet():
    stages = ((1, 3, 1, 1, 8), (2, 3, 2, 6, 8))
    return keras_sat.models.scaled_efficientnet(
        activation="relu", num_classes=5, input_shape=(8, 8, 3), stages=stages
    )


class TwiceTest(TestCase):
    @parameterized.product(
        build=(
            mixed,
            mobile,
            with_block,
            wrapped,
            in_policy("mixed_bfloat16"),
            quantized,
            small_efficientnet,
        ),
        activation=("silu", "relu", "smoothrelu"),
    )
    def test_converting_twice_is_converting_once(self, build, activation):
        model = build()
        options = {
            "smooth_gates": True,
            "remove_softmax": True,
            "momentum": 0.8,
        }
        once = convert_activations(model, activation, **options)
        twice = convert_activations(once, activation, **options)
        third = convert_activations(twice, activation, **options)
        found = activation_sites(once)
        self.assertEqual(activation_sites(twice), found)
        self.assertEqual(activation_sites(third), found)
        for other in (twice, third):
            self.assertEqual(
                [(w.shape, w.dtype) for w in other.weights],
                [(w.shape, w.dtype) for w in once.weights],
            )
        x = images(model.input_shape[1])
        expected = tf.cast(logits_of(once, x), tf.float32)
        for other in (twice, third):
            found = tf.cast(logits_of(other, x), tf.float32)
            self.assertAllClose(found, expected)

    def test_sites_of_wrapped_layers_keep_their_places(self):
        before = activation_sites(wrapped())
        after = activation_sites(convert_activations(wrapped()))
        kinds = [kind for _, kind in before]
        self.assertEqual(kinds, ["relu"] * 5)
        self.assertEqual([kind for _, kind in after], ["silu"] * 5)

        def tail(path):
            return path.split("/")[1:]

        self.assertEqual(
            [len(tail(path)) for path, _ in after],
            [len(tail(path)) for path, _ in before],
        )


class TwinTest(TestCase):
    """Tests of a converted twin that only the attack differentiates."""

    def build(self):
        """Builds a network whose converted twin has another order of layers."""
        inputs = keras.Input((8, 8, 3))
        left = layers.Conv2D(4, 1, activation="relu", name="left")(inputs)
        left = layers.Conv2D(4, 1, activation="relu", name="left2")(left)
        right = layers.Conv2D(4, 1, activation="relu", name="right")(inputs)
        right = layers.Activation("linear")(right)
        right = layers.Conv2D(4, 1, name="right2")(right)
        x = layers.GlobalAveragePooling2D()(layers.Add()([left, right]))
        return keras.Model(inputs, layers.Dense(5, name="logits")(x))

    def twin(self, model):
        activation = keras_sat.relu_with_gradient_of(ParametricSoftplus())
        return convert_activations(model, activation, share_weights=True)

    def test_trains_one_set_of_weights_and_survives_saving(self):
        model = self.build()
        attack = PGD(epsilon=0.1, step_size=0.1, steps=1)
        sat = SATModel(model, attack=attack, attack_model=self.twin(model))
        x, y = images(number=4), np.arange(4)
        sat.fit(x, y, verbose=0)
        path = f"{self.get_temp_dir()}/twins.keras"
        sat.save(path)
        loaded = keras_sat.load_model(path)
        self.assert_same_bits(loaded(x), sat(x))
        for one in (sat, loaded):
            ids = {id(weight) for weight in one.model.weights}
            self.assertEqual({id(w) for w in one.attack_model.weights}, ids)
            self.assert_same_bits(one.attack_model(x), one.model(x))


class ValueRangeTest(TestCase):
    def test_training_and_attack_are_the_same_in_each_range(self):
        results = []
        unit, x, y = self.tiny_classifier(normalized=False)
        for scale in (1.0, 255.0):
            inputs = keras.Input((8, 8, 3))
            wide = layers.Rescaling(1 / scale)(inputs)
            model = convert_activations(keras.Model(inputs, unit(wide)))
            # Without signs, which rounding changes next to 0.
            attack = PGD(epsilon=0.5, step_size=0.1, steps=3, norm="l2")
            sat = SATModel(model, attack, attack, value_range=(0, scale))
            sat.compile(keras.optimizers.SGD(0.1))
            sat.seeds = keras.random.SeedGenerator(1)
            sat.eval_seeds = keras.random.SeedGenerator(2)
            adversarial = attack.replace(
                random_start=False, value_range=(0, scale)
            )(sat, scale * x, y)
            sat.fit(scale * x, y, shuffle=False, verbose=0)
            logs = sat.evaluate(scale * x, y, return_dict=True, verbose=0)
            results.append((logs, sat.get_weights(), adversarial / scale, x))
        (one, mine, first, x), (two, theirs, second, _) = results
        # Four passes to attack and two for each gradient and for what is seen.
        self.assert_same_up_to_rounding([one, mine], [two, theirs], 24 * PASS)
        self.assert_same_up_to_rounding(second, first, 6 * PASS)
        reached = attack.ball.size(second - x)
        self.assertAllInRange(reached, 0.2, 0.3 + 1e-6)

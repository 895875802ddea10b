"""Tests of `convert_activations`; `families_test.py` has those of others."""

import warnings

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
from keras_sat.models.with_activations import WithActivations
from tests.test_case import PASS
from tests.test_case import TestCase
from tests.test_case import logits_of
from tests.test_case import roundings

pytestmark = pytest.mark.numeric

layers = keras.layers


def images(size=8, number=2):
    generator = np.random.default_rng(0)
    return generator.uniform(0, 1, (number, size, size, 3)).astype("float32")


def mixed():
    """Nested, branching, with a shared layer and plain operations."""
    inner = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="conv"),
            layers.LeakyReLU(name="leaky"),
        ],
        name="inner",
    )
    shared = layers.Conv2D(
        4, 3, padding="same", activation="relu6", name="shared"
    )
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 1, name="first")(inputs)
    x = shared(shared(keras.ops.relu(x)))
    x = layers.Add()([inner(x), keras.activations.relu(x)])
    gate = layers.Dense(4, activation="hard_sigmoid", name="gate")(x)
    x = layers.SeparableConv2D(4, 3, activation="silu", name="smooth")(x * gate)
    x = layers.PReLU(shared_axes=[1, 2], name="prelu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Activation("hard_swish", name="hard")(x)
    outputs = layers.Dense(10, activation="softmax", name="head")(x)
    return keras.Model(inputs, outputs)


MIXED = {
    "shared": "relu6",
    "inner/conv": "relu",
    "inner/leaky": "leaky_relu",
    "prelu": "prelu",
    "hard": "hard_silu",
}


def hard(x):
    return layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)


def mobile():
    """Hard swishes and gates made of parts, as in MobileNetV3."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.Multiply(name="layer")([x, hard(x)])
    x = layers.Conv2D(4, 3, name="conv2")(x)
    x = hard(x) * x
    gate = hard(layers.Conv2D(4, 1, name="gate")(x))
    x = layers.Multiply(name="gated")([x, gate])
    return keras.Model(inputs, layers.Flatten()(x))


@keras.saving.register_keras_serializable("tests")
class Block(layers.Layer):
    """A layer with activations inside; they are not in its configuration."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(4, 3, activation="relu", name="conv")
        self.act = layers.ReLU()
        self.second = layers.Conv2D(4, 1)
        self.final = keras.activations.get("relu")

    def call(self, x):
        return self.final(self.second(self.act(self.conv(x) - 0.1)))


def with_block():
    inputs = keras.Input((8, 8, 3))
    x = Block(name="block")(inputs)
    return keras.Model(inputs, layers.Flatten()(x))


def wrapped():
    """Layers that contain others, of Keras and of a user."""
    inputs = keras.Input((8, 8, 3))
    x = layers.TimeDistributed(layers.Dense(4, activation="relu"))(inputs)
    x = layers.TimeDistributed(layers.ReLU())(x)
    x = layers.SpectralNormalization(layers.Conv2D(4, 3, activation="relu"))(x)
    x = layers.Reshape((36, 4))(x)
    x = layers.Bidirectional(layers.SimpleRNN(3, activation="relu"))(x)
    return keras.Model(inputs, layers.Dense(5)(x))


def in_policy(policy):
    """Each way to write an activation, in layers of a dtype policy."""

    def build():
        same = {"dtype": policy}
        dtype = keras.DTypePolicy(policy).compute_dtype
        inputs = keras.Input((8, 8, 3))
        x = layers.Conv2D(4, 3, activation="relu", **same)(inputs)
        x = keras.ops.relu(layers.Conv2D(4, 1, **same)(x))
        x = layers.LeakyReLU(**same)(x)
        x = layers.PReLU(shared_axes=[1, 2], **same)(x)
        x = keras.ops.hard_sigmoid(x)
        x = layers.Activation("hard_sigmoid", **same)(x)
        dense = layers.Dense(3, activation="relu", **same)
        x = layers.TimeDistributed(dense, **same)(x)
        x = layers.GlobalAveragePooling2D(**same)(x)
        x = layers.Dense(5, **same)(x)
        model = keras.Model(inputs, layers.Softmax(**same)(x))
        model.dtype_policy = policy
        assert model.output.dtype == dtype
        return model

    return build


def quantized():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Flatten(),
            layers.Dense(4, activation="relu"),
            layers.Dense(5),
        ]
    )
    with warnings.catch_warnings(action="ignore"):
        model.quantize("int8")
    return model


@keras.saving.register_keras_serializable("tests")
class Normalized(layers.Layer):
    """A layer with a normalization that is not in its configuration."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.normalization = layers.BatchNormalization()

    def call(self, x, training=None):
        return self.normalization(x, training=training)


class SitesTest(TestCase):
    def test_finds_all_sites_in_their_places(self):
        found = dict(activation_sites(mixed()))
        self.assertContainsSubset(MIXED.items(), found.items())
        others = sorted(set(found.values()) - set(MIXED.values()))
        self.assertEqual(others, ["hard_sigmoid", "silu", "softmax"])
        kinds = list(found.values())
        self.assertEqual(kinds.count("relu"), 3)
        self.assertLen(found, 10)

    def test_a_hard_swish_of_parts_is_one_site_and_a_gate_another(self):
        kinds = [name for _, name in activation_sites(mobile())]
        self.assertEqual(kinds, ["hard_silu", "hard_silu", "hard_sigmoid"])

    def test_looks_into_layers(self):
        kinds = [name for _, name in activation_sites(with_block())]
        self.assertEqual(kinds, ["relu", "relu", "relu"])


class ConvertActivationsTest(TestCase):
    def assert_smooth(self, model, names=activation_places.NON_SMOOTH):
        found = [site for site in activation_sites(model) if site[1] in names]
        self.assertEqual(found, [])

    def test_replaces_each_kind_and_says_where(self):
        lines = []
        model = convert_activations(mixed(), "mish", print_fn=lines.append)
        self.assert_smooth(model)
        for path, name in MIXED.items():
            self.assertIn(f"{path}: {name} -> mish", lines)
        self.assertLen(lines, 8)
        self.assertEqual(
            lines[-1],
            "7 activations replaced, others: 1 hard_sigmoid, 1 silu, 1 softmax",
        )

    @parameterized.parameters(mobile, with_block)
    def test_only_what_was_replaced_is_gone(self, build):
        model = convert_activations(build(), smooth_gates=True)
        self.assert_smooth(
            model, [*activation_places.NON_SMOOTH, "hard_sigmoid"]
        )
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

    def test_lambda_layers_keep_their_function(self):
        inputs = keras.Input((8, 8, 3))
        x = layers.Lambda(lambda x: 2 * x)(inputs)
        x = layers.Lambda(keras.ops.relu)(layers.Conv2D(4, 3)(x))
        model = keras.Model(inputs, x)
        smooth = convert_activations(model)
        self.assert_smooth(smooth)
        self.assertEmpty(relus(smooth))
        kept = convert_activations(model, "relu")
        self.assert_same_bits(kept(images()), model(images()))

    def test_saved_blocks_keep_what_was_replaced(self):
        smooth = convert_activations(with_block(), "gelu")
        self.assertIsInstance(smooth.get_layer("block"), WithActivations)
        path = f"{self.get_temp_dir()}/block.keras"
        smooth.save(path)
        loaded = keras.saving.load_model(path)
        self.assert_same_bits(loaded(images()), smooth(images()))
        self.assertEmpty(relus(loaded))

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

    def test_refuses_a_layer_that_cannot_be_rebuilt(self):
        class Opaque(layers.Layer):
            def __init__(self, function):
                super().__init__()
                self.function = function

            def call(self, x):
                return self.function(x)

        inputs = keras.Input((8, 8, 3))
        model = keras.Model(inputs, Opaque(lambda x: 2 * x)(inputs))
        with self.assertRaisesRegex(
            ValueError, "configuration can rebuild. Received opaque"
        ):
            convert_activations(model)


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


class PolicyTest(TestCase):
    @parameterized.product(
        policy=("float16", "mixed_float16", "float64"),
        activation=("silu", "smoothrelu"),
    )
    def test_what_is_replaced_keeps_its_dtypes(self, policy, activation):
        model = in_policy(policy)()
        options = {"smooth_gates": True, "remove_softmax": True}
        new = convert_activations(model, activation, **options)
        policies = {
            layer.dtype_policy.name
            for layer in new._flatten_layers()
            if not isinstance(layer, layers.InputLayer)
        }
        self.assertEqual(policies, {policy})
        self.assertEqual(new.output.dtype, model.output.dtype)
        expected = keras.DTypePolicy(policy)
        self.assertEqual(
            {weight.dtype for weight in new.weights}, {expected.variable_dtype}
        )
        for operation in new.operations[1:]:
            for tensor in keras.tree.flatten(operation.output):
                self.assertEqual(tensor.dtype, expected.compute_dtype)

    def test_a_quantized_network_gets_activations_of_its_own_policy(self):
        new = convert_activations(quantized(), "smoothrelu")
        policies = [layer.dtype_policy.name for layer in new.layers[1:]]
        quantum = "int8_from_float32"
        self.assertEqual(policies, [quantum, "float32", quantum])


class MomentumTest(TestCase):
    def build(self):
        inputs = keras.Input((8, 8, 3))
        x = layers.BatchNormalization(momentum=0.97)(inputs)
        x = Normalized(name="normalized")(x)
        x = layers.TimeDistributed(layers.BatchNormalization())(x)
        x = keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                layers.BatchNormalization(),
                layers.Conv2D(4, 3, activation="relu"),
            ]
        )(x)
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, layers.Dense(3)(x))

    def momenta(self, model):
        kind = keras.layers.BatchNormalization
        parts = model._flatten_layers()
        return [part.momentum for part in parts if isinstance(part, kind)]

    def test_each_batch_normalization_gets_the_momentum(self):
        model, lines = self.build(), []
        new = convert_activations(
            model, momentum=0.9, share_weights=True, print_fn=lines.append
        )
        self.assertEqual(self.momenta(new), [0.9] * 4)
        self.assertEqual(sorted(self.momenta(model)), [0.97, 0.99, 0.99, 0.99])
        self.assertEqual(lines[-1], "momentum 0.9 in 4 normalizations")
        self.assertEqual(
            {id(weight) for weight in new.weights},
            {id(weight) for weight in model.weights},
        )
        path = f"{self.get_temp_dir()}/momentum.keras"
        new.save(path)
        loaded = keras.saving.load_model(path)
        self.assertEqual(self.momenta(loaded), [0.9] * 4)
        self.assertAllEqual(loaded(images()), new(images()))

    def test_the_moving_statistics_follow_it(self):
        model = self.build()
        old = convert_activations(model)
        self.assertEqual(self.momenta(old), self.momenta(model))
        new = convert_activations(model, momentum=0.0)
        x = images(number=8)
        new(x, training=True)
        mean = new.layers[1].moving_mean
        self.assertAllClose(mean, x.mean((0, 1, 2)), rtol=0, atol=1e-6)

    @parameterized.parameters(-0.1, 1.1, "high")
    def test_other_momenta_are_refused(self, momentum):
        with self.assertRaisesRegex(
            (TypeError, ValueError), "`momentum` must .*Received"
        ):
            convert_activations(self.build(), momentum=momentum)


class TwinTest(TestCase):
    """A converted twin as what the attack differentiates."""

    def build(self):
        """Its layers change their order if activations come in between."""
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


def relus(model):
    """The non-smooth activations in the graph that TensorFlow runs."""
    shape = model.inputs[0].shape[1:]
    shape = [size or 32 for size in shape]
    function = tf.function(lambda x: model(x, training=False))
    spec = tf.TensorSpec((1, *shape))
    graph = function.get_concrete_function(spec).graph.as_graph_def()
    nodes = list(graph.node)
    for part in graph.library.function:
        nodes += part.node_def
    kinds = {"Relu", "Relu6", "LeakyRelu", "Selu"}
    return [node.op for node in nodes if node.op in kinds]

"""Tests of recipes in general."""

import json
import math

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat import recipes
from keras_sat.weights import decay as weight_decay
from tests.test_case import TestCase


class WeightDecayTest(TestCase):
    """Tests of weight decay on networks with every kind of variable."""

    def networks(self):
        yield keras_sat.models.residual_network(
            repeats=(1, 1),
            filters=(4, 8),
            activation=keras_sat.SmoothReLU,
            num_classes=5,
            input_shape=(8, 8, 3),
            stem="small",
            stem_filters=4,
        )
        yield keras_sat.models.scaled_efficientnet(
            0.25,
            num_classes=5,
            input_shape=(8, 8, 3),
            stages=((1, 3, 1, 1, 16), (1, 3, 2, 6, 24)),
        )

    def kernels(self, network):
        """Returns the paths of the kernels of a network."""
        kinds = (
            keras.layers.Conv2D,
            keras.layers.DepthwiseConv2D,
            keras.layers.Dense,
        )
        layers = [x for x in network._flatten_layers() if isinstance(x, kinds)]
        paths = {layer.kernel.path for layer in layers}
        self.assertGreater(len(network.trainable_variables), len(paths))
        return paths

    @parameterized.named_parameters(
        ("imagenet_resnet", recipes.imagenet_resnet(), 1e-4),
        ("imagenet_efficientnet", recipes.imagenet_efficientnet(), 1e-4),
        ("imagenet_light", recipes.imagenet_light(), 1e-4),
        ("imagenet_modern", recipes.imagenet_modern(), 1e-4),
        ("cifar10", recipes.cifar10(), 5e-4),
        ("cifar10_trades_ema", recipes.cifar10_trades_ema(), 5e-4),
        ("cifar10_mart", recipes.cifar10_mart(), 3.5e-3),
        ("cifar10_awp", recipes.cifar10_awp(), 5e-4),
    )
    def test_the_penalty_is_for_kernels_only(self, recipe, decay):
        for network in self.networks():
            model = recipe.model(network)
            recipe.compile(model, 100)
            self.assertIsNone(model.optimizer.weight_decay)
            variables = model.trainable_variables
            with tf.GradientTape() as tape:
                penalty = weight_decay.loss(
                    model, model.weight_decay, model.replicas
                )
            gradients = tape.gradient(penalty, [v.value for v in variables])
            decayed = {
                v.path
                for v, gradient in zip(variables, gradients, strict=True)
                if gradient is not None
            }
            self.assertEqual(decayed, self.kernels(network))
            for v, gradient in zip(variables, gradients, strict=True):
                if gradient is not None:
                    self.assert_same_up_to_rounding(
                        gradient, decay * v, roundings=4
                    )

    @parameterized.parameters(False, True)
    def test_the_decay_of_adamw_is_for_kernels_only(self, loaded):
        recipe = recipes.imagenet_modern("adamw", warmup_epochs=0.0, ema=0.0)
        for network in self.networks():
            model = recipe.model(network)
            recipe.compile(model, 100)
            if loaded:
                model.optimizer.build(model.trainable_variables)
                path = self.get_temp_dir() + "/model.keras"
                model.save(path)
                model = keras_sat.load_model(path)
            self.assertEqual(model.weight_decay, 0)
            variables = model.trainable_variables
            for variable in variables:
                variable.assign(tf.ones_like(variable) * 3)
            # No gradient, no step of Adam: what moves is decayed.
            model.optimizer.apply([0 * v for v in variables], variables)
            shrunk = {v.path for v in variables if np.all(np.array(v) < 3)}
            self.assertEqual(shrunk, self.kernels(model.model))
            for v in variables:
                expected = 3 - 3 * 0.05 * 5e-4 if v.path in shrunk else 3.0
                self.assertAllClose(v, np.full(v.shape, expected), rtol=1e-6)

    def test_a_model_that_is_compiled_again_keeps_a_built_optimizer(self):
        model = keras_sat.SATModel(self.tiny_classifier()[0])
        optimizer = keras.optimizers.AdamW(1e-3)
        model.compile(optimizer)
        optimizer.build(model.trainable_variables)
        model.compile(optimizer)
        self.assertTrue(model.optimizer.built)


class RecipeTest(TestCase):
    def test_the_networks_are_those_of_the_recipes(self):
        shapes = {
            "imagenet_resnet": (224, 1000, 25_557_032),
            "cifar10": (32, 10, 11_173_962),
            "imagenet_efficientnet": (224, 1000, 5_288_548),
        }
        for name, (size, classes, count) in shapes.items():
            model = recipes.get(name).model()
            self.assertEqual(model.model.input_shape, (None, size, size, 3))
            self.assertEqual(model.model.output_shape, (None, classes))
            variables = model.trainable_variables
            counts = [math.prod(v.shape) for v in variables]
            self.assertEqual(sum(counts), count, name)

    def test_options_reach_the_network(self):
        recipe = recipes.cifar10_trades_ema(
            network="wide_resnet10_1", image_size=8, activation="gelu"
        )
        model = recipe.model(num_classes=7).model
        self.assertEqual(model.name, "wide_resnet10_1")
        self.assertEqual(model.output_shape, (None, 7))
        self.assertEqual(model.input_shape, (None, 8, 8, 3))
        activations = {
            layer.activation.__name__
            for layer in model.layers
            if isinstance(layer, keras.layers.Activation)
        }
        self.assertEqual(activations, {"gelu"})

    @parameterized.parameters(*recipes.NAMED)
    def test_every_recipe_survives_json_and_keras(self, name):
        recipe = recipes.get(name)
        again = recipes.Recipe(**json.loads(json.dumps(recipe.get_config())))
        self.assertEqual(again, recipe)
        config = keras.saving.serialize_keras_object(recipe)
        loaded = keras.saving.deserialize_keras_object(config)
        self.assertEqual(loaded, recipe)

    def test_a_recipe_trains_and_is_saved_with_its_model(self):
        inner, images, labels = self.tiny_classifier()
        recipe = recipes.imagenet_modern(
            epochs=2, batch_size=8, warmup_epochs=1.0, ema=0.5
        )
        model = recipe.model(inner)
        recipe.compile(model, steps_per_epoch=4)
        probabilities = keras.ops.one_hot(labels, 5)
        data = tf.data.Dataset.from_tensor_slices((images, probabilities))
        before = inner.get_weights()
        history = model.fit(data.batch(8), epochs=2, verbose=0).history
        self.assertLen(history["loss"], 2)
        self.assertNotAllClose(before[0], inner.get_weights()[0])
        path = self.get_temp_dir() + "/model.keras"
        model.save(path)
        loaded = keras_sat.load_model(path)
        self.assert_same_bits(loaded(images), model(images))
        self.assertEqual(loaded.attack, recipe.attack)
        self.assertEqual(
            loaded.attack_schedule.step_size.get_config(),
            model.attack_schedule.step_size.get_config(),
        )
        self.assertEqual(int(loaded.optimizer.iterations), 8)

    def test_options_of_compile_are_passed_on(self):
        recipe = recipes.cifar10()
        model = recipe.model(self.tiny_classifier()[0])
        recipe.compile(model, 10, steps_per_execution=3)
        self.assertEqual(model.steps_per_execution, 3)

    @parameterized.parameters(
        ({"network": "vgg"}, "network"),
        ({"optimizer": "rmsprop"}, "optimizer"),
        ({"decay": "linear"}, "decay"),
        ({"decay": "cosine"}, "decay_epochs"),
        ({"decay_epochs": ()}, "decay_epochs"),
        ({"epochs": 0}, "epochs"),
        ({"augmentation": {"jitter": 2}}, "jitter"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"weight_decay": -1e-4}, "weight_decay"),
        ({"trades_beta": -1}, "trades_beta"),
        ({"mart_beta": -1}, "mart_beta"),
        ({"trades_beta": 1, "mart_beta": 1}, "mart_beta"),
        ({"awp_gamma": -0.1}, "awp_gamma"),
        ({"label_smoothing": 1.5}, "label_smoothing"),
        ({"epsilon": 4}, "epsilon"),
        ({"eval_step_size": 0.0}, "step_size"),
        ({"clean_start_probability": 2}, "clean_start_probability"),
    )
    def test_bad_values_are_refused(self, changes, name):
        with self.assertRaisesRegex(ValueError, f"`{name}` must.*Received"):
            recipes.imagenet_resnet(**changes)

    def test_unknown_recipes_and_variants_are_refused(self):
        with self.assertRaisesRegex(ValueError, "`name` must be one of.*cifar"):
            recipes.get("imagenet")
        with self.assertRaisesRegex(ValueError, "`variant` must.*'b9'"):
            recipes.imagenet_efficientnet("b9")
        with self.assertRaisesRegex(ValueError, "`warmup_epochs` .* than.*=5"):
            recipes.imagenet_modern(epochs=5)
        with self.assertRaisesRegex(ValueError, "`optimizer` must.*'lamb'"):
            recipes.imagenet_modern("lamb")
        with self.assertRaisesRegex(ValueError, "`steps_per_epoch` must.*0"):
            model = recipes.cifar10().model(self.tiny_classifier()[0])
            recipes.cifar10().compile(model, 0)

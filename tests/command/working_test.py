"""Tests of commands on files, one on what another one wrote."""

import pathlib
import re
from unittest import mock

import keras
import numpy as np
import pytest
from PIL import Image

import keras_sat
from tests import photographs
from tests.command.programs import run
from tests.evaluation import sample_reports
from tests.test_case import TestCase
from tests.torch_weights import torch_files

SHORT = ("--attacks", "apgd-ce", "--no-diagnose")
QUICK = (*SHORT, "--epsilon", "8/255")


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), int)


class WorkingTest(TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.get_temp_dir())

    def run_well(self, *words):
        """Runs a command to its end, and returns what it printed."""
        code, output, errors = run(*words)
        self.assertEqual(code, 0, errors)
        return output

    def refused(self, *words):
        """Returns the error of a wrong command line."""
        code, output, errors = run(*words)
        self.assertEqual((code, output), (2, ""), errors)
        return errors.splitlines()[-1].removeprefix("keras-sat: ")

    def network(self, activation="relu", **options):
        """Returns the path of a tiny network for two classes."""
        inputs = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(4, 3, activation=activation)(inputs)
        x = keras.layers.Dense(2, **options)(keras.layers.Flatten()(x))
        path = self.root / f"{len(list(self.root.iterdir()))}.keras"
        keras.Model(inputs, x).save(path)
        return path

    def photographs(self, **options):
        return photographs.write_folder(self.root / "photos", **options)


class EvaluateTest(WorkingTest):
    @pytest.mark.large
    def test_it_prints_the_report_of_the_function(self):
        folder, model = self.photographs(count=10), self.network()
        output = self.run_well("evaluate", model, folder, *QUICK)
        dataset = keras_sat.data.image_folder(folder, image_size=8)
        network = keras.saving.load_model(model)
        report = keras_sat.evaluate_robustness(
            *(network, dataset, "apgd-ce", 8 / 255), diagnose=False, verbose=0
        )
        self.assertEqual(
            re.sub(", [0-9]+ s,", "", output),
            re.sub(", [0-9]+ s,", "", f"{report}\n"),
        )

    @pytest.mark.large
    def test_pictures_are_spread_over_all_classes(self):
        model, saved = self.network(), self.root / "report"
        words = ["evaluate", model, self.photographs(count=24), *QUICK]
        self.run_well(*words, "--images", "4", "--output", saved)
        report = keras_sat.RobustnessReport.load(saved)
        # The folder begins with the 12 pictures of one class.
        self.assertEqual(list(report.labels), [0, 0, 1, 1])
        self.assertLen(report.class_names, 2)
        shown = self.run_well("report", "show", saved)
        self.assertEqual(shown, f"{report}\n")
        # The same command has nothing left to do.
        _, _, errors = run(*words, "--images", "4", "--output", saved)
        self.assertIn("It was finished already", errors)
        self.assertIn("--output must", self.refused(*words, "--output", saved))

    def test_arrays_in_a_file_are_evaluated(self):
        path = self.root / "data.npz"
        generator = np.random.default_rng(0)
        images = generator.integers(0, 256, (6, 8, 8, 3), "uint8")
        np.savez(path, images=images, labels=np.arange(6) % 2)
        output = self.run_well("evaluate", self.network(), path, *QUICK)
        self.assertStartsWith(output, "Robustness of 6 images")
        np.savez(path, images=images, labels=np.arange(5))
        message = self.refused("evaluate", self.network(), path)
        self.assertStartsWith(message, "DATA has not one label for each image")
        np.savez(path, pictures=images)
        message = self.refused("evaluate", self.network(), path)
        self.assertStartsWith(message, "DATA has no array 'images'")

    @pytest.mark.large
    def test_prepared_sets_are_evaluated_by_name(self):
        photographs.prepare_imagenet_layout(self.root)
        words = ["evaluate", self.network(), "imagenet_layout", *QUICK]
        words += ["--data-dir", self.root]
        output = self.run_well(*words, "--split", "validation", "--crop=none")
        self.assertStartsWith(output, "Robustness of 12 images")
        self.assertIn("Pictures: crop='none'", output)
        self.assertStartsWith(
            self.refused(*words), "--split must be one of ['train', 'valid"
        )

    def test_wrong_words_are_named(self):
        folder = self.photographs(count=4)
        for words, message in (
            (("no.keras", folder), "MODEL is not there: 'no.keras'"),
            ((folder, folder), "MODEL must be a `.keras` file"),
            ((self.network(), "no/folder"), "DATA is no folder"),
            ((self.network(), self.root), "DATA must hold a sub-folder"),
            ((self.network(), folder, "--epsilon=-1"), "--epsilon must be at"),
            ((self.network(), folder, "--seed=-1"), "--seed must be"),
            ((self.network(), folder, "--batch-size=0"), "--batch-size must"),
            ((self.network(), folder, "--images=0"), "--images must be at"),
            ((self.network(), folder, "--attacks"), "--attacks needs a name"),
            ((self.network(), folder, "--attacks=a"), "--attacks must be one"),
        ):
            with self.subTest(message):
                self.assertStartsWith(self.refused("evaluate", *words), message)


class AttackTest(WorkingTest):
    @pytest.mark.large
    def test_adversarial_pictures_lie_beside_the_clean_ones(self):
        folder, output = self.photographs(count=8), self.root / "attacked"
        words = ["attack", self.network(), folder, output, "--epsilon", "0.3"]
        text = self.run_well(*words, "--images", "4")
        self.assertStartsWith(text, f"4 pictures in {output}\n")
        clean = sorted(output.glob("*/*-clean.png"))
        # Every second one of each class, by its own name.
        self.assertEqual(
            [str(path.relative_to(output))[:10] for path in clean],
            ["flower/001", "flower/005", "temple/000", "temple/004"],
        )
        dataset = keras_sat.data.image_folder(folder, image_size=8)
        images = np.concatenate([batch.numpy() for batch, _ in dataset])
        self.assertAllEqual([pixels(path) for path in clean], images[::2])
        found = sorted(output.glob("*/*-adversarial.png"))
        self.assertNotEmpty(found)
        self.assertIn(f"of which {len(found)} are broken by APGD-CE", text)
        for path in found:
            before = pathlib.Path(str(path).replace("adversarial", "clean"))
            change = np.abs(pixels(path) - pixels(before))
            # 0.3 * 255 = 76.5
            self.assertEqual(change.max(), 76)


class NetworksTest(WorkingTest):
    @pytest.mark.large
    def test_a_softmax_is_removed_and_a_relu_replaced(self):
        model, output = self.network(activation="relu"), self.root / "new.keras"
        network = keras.saving.load_model(model)
        x = keras.layers.Softmax()(network.output)
        keras.Model(network.input, x).save(model)
        words = ["convert", model, output, "--activation", "gelu"]
        text = self.run_well(*words, "--remove-softmax")
        self.assertIn("1 activations replaced, others: 1 softmax", text)
        names = [
            n
            for _, n in keras_sat.activation_sites(
                keras.saving.load_model(output)
            )
        ]
        self.assertEqual(names, ["gelu"])
        self.assertStartsWith(self.refused(*words), "OUTPUT is there already: ")
        self.run_well(*words, "--overwrite")
        self.assertStartsWith(
            self.refused("convert", model, self.root / "x.h5"),
            "OUTPUT must end with .keras",
        )

    @pytest.mark.large
    def test_an_export_is_evaluated_like_its_file(self):
        folder, model = self.photographs(count=6), self.network("silu")
        report, served = self.root / "report", self.root / "served" / "1"
        words = [folder, *QUICK, "--crop=centre", "--output", report]
        expected = self.run_well("evaluate", model, *words)
        text = self.run_well("export", model, served, "--report", report)
        self.assertIn("'crop': 'centre'", text)
        output = self.run_well("evaluate", served, folder, *QUICK)
        self.assertEqual(output.split("seed")[0], expected.split("seed")[0])
        message = self.refused("export", model, served)
        self.assertIn("Pass --overwrite to replace it", message)
        self.assertStartsWith(
            self.refused("export", served, self.root / "x"),
            "MODEL has no layers, as a SavedModel",
        )
        self.assertStartsWith(
            self.refused("export", model, self.root / "x", "--report=no"),
            "--report must hold a report",
        )

    def test_weights_of_pytorch_are_imported(self):
        checkpoint = self.root / "weights.pth"
        checkpoint.write_bytes(torch_files.real_old())
        layers, output = self.root / "a.keras", self.root / "b.keras"
        torch_files.real_network().save(layers)
        words = ["import", "torch", checkpoint, output]
        self.run_well(*words, "--model", layers)
        expected = torch_files.real_network()
        keras_sat.load_torch_checkpoint(expected, checkpoint)
        self.assert_same_bits(
            keras.saving.load_model(output).get_weights(),
            expected.get_weights(),
        )
        for more, message in (
            ((), "OUTPUT is there already"),
            (("--overwrite",), "--network or --model is needed"),
            (("--overwrite", "--network=resnet"), "--network must be like"),
            (
                ("--overwrite", "--network=resnet18", "--options={"),
                "--options must be JSON",
            ),
        ):
            self.assertStartsWith(self.refused(*words, *more), message)

    def test_networks_of_robustbench_are_named(self):
        message = self.refused(
            "import", "robustbench", "Nobody", "x.pt", self.root / "x.keras"
        )
        self.assertStartsWith(message, "NAME must be a network for --dataset ")


class ReportTest(WorkingTest):
    def test_two_reports_are_compared_by_their_folders(self):
        for name, seed in (("a", 1), ("b", 2)):
            sample_reports.report(seed=seed).save(self.root / name)
        folders = [str(self.root / name) for name in ("a", "b")]
        compared = mock.patch.object(
            keras_sat, "compare", create=True, return_value="the same"
        )
        with compared as compare:
            text = self.run_well("report", "compare", *folders)
        self.assertEqual(text, "the same\n")
        self.assertEqual([r.seed for r in compare.call_args.args], [1, 2])
        self.assertEqual(compare.call_args.kwargs, {"names": tuple(folders)})
        message = self.refused("report", "compare", folders[0], "nowhere")
        self.assertStartsWith(message, "SECOND must hold a report")

    def test_a_report_becomes_a_page(self):
        sample_reports.report(seed=3).save(self.root / "a")
        written = mock.patch.object(
            keras_sat.RobustnessReport, "save_html", create=True, autospec=False
        )
        with written as save_html:
            text = self.run_well("report", "html", self.root / "a", "page.html")
        self.assertEqual(text, "")
        save_html.assert_called_once_with("page.html")


class FinetuneTest(WorkingTest):
    def pretrained(self):
        """Returns the path of a network that scales pixels."""
        layers = [
            keras.layers.Rescaling(2.0, -1.0),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(7, activation="softmax"),
        ]
        path = self.root / "pretrained.keras"
        keras.Sequential([keras.Input((8, 8, 1)), *layers]).save(path)
        return path

    def test_flags_change_the_recipe(self):
        path = self.pretrained()
        (self.root / "run").mkdir()
        with mock.patch.object(keras_sat.recipes, "train") as train:
            train.return_value = None, "report"
            self.run_well(
                *("finetune", path, "digits", self.root / "run"),
                *("--epochs", "20", "--head-epochs", "3"),
                *("--epsilon", "8/255", "--freeze", "normalization"),
                *("--set", "steps=2"),
            )
        recipe, train_ds, *_ = train.call_args.args
        # Twice the epochs and the radius of the recipe.
        expected = keras_sat.recipes.finetune(
            path,
            freeze="normalization",
            epochs=20,
            warmup_epochs=2.0,
            epsilon_warmup_epochs=10.0,
            head_epochs=3,
            epsilon=8 / 255,
            step_size=2 * 8 / 3 / 255,
            eval_step_size=2 / 255,
            steps=2,
            decay_epochs=[],
        )
        self.assertEqual(recipe, expected)
        self.assertEqual(train_ds.element_spec[0].shape[1:], (8, 8, 1))

    def test_wrong_words_are_named(self):
        path, out = self.pretrained(), self.root / "run"
        for words, message in (
            (("no.keras", "digits"), "NETWORK must be a `.keras` file"),
            ((path, "digits", "--epochs=0"), "--epochs must be at least 1"),
            ((path, "digits", "--image-size=9"), "--image-size must be that"),
            ((path, "digits", "--set", "ema=2"), "--set ema must lie in"),
        ):
            refused = self.refused("finetune", *words[:2], out, *words[2:])
            self.assertStartsWith(refused, message)
        self.assertFalse(out.exists())


class TrainTest(WorkingTest):
    def trained(self, *words):
        """Returns what `recipes.train` is called with."""
        with mock.patch.object(keras_sat.recipes, "train") as train:
            train.return_value = None, "report"
            (self.root / "run").mkdir(exist_ok=True)
            self.run_well("train", words[0], self.root / "run", *words[1:])
        return train.call_args

    def test_flags_change_the_recipe(self):
        call = self.trained(
            *("digits", "--epochs", "11", "--epsilon", "4/255"),
            *("--recipe", "cifar10", "--network", "wide_resnet10_1"),
            *("--set", "steps=3", 'augmentation={"padding": 2}'),
        )
        recipe, train_ds, test_ds, _ = call.args
        expected = keras_sat.recipes.cifar10()
        # A tenth of the epochs, and half of the radius.
        self.assertAllClose(recipe.decay_epochs, (10, 10.5))
        for name in ("step_size", "eval_step_size"):
            self.assertAllClose(
                getattr(recipe, name), getattr(expected, name) / 2
            )
        self.assertEqual((recipe.epochs, recipe.epsilon), (11, 4 / 255))
        self.assertEqual((recipe.steps, recipe.network_options), (3, {}))
        self.assertEqual(recipe.augmentation, {"padding": 2})
        self.assertEqual(train_ds.element_spec[0].shape[1:], (16, 16, 1))
        self.assertLen(list(test_ds.unbatch()), 360)
        self.assertEqual(call.kwargs["verbose"], 2)

    @pytest.mark.large
    def test_a_folder_is_divided_or_has_another_one_for_tests(self):
        folder = self.photographs(count=20)
        words = ["--image-size=8", "--batch-size=4", "--channels=1"]
        for more, counts in (
            ((), (16, 4)),
            (("--validation-split", "1/2"), (10, 10)),
            (("--test-data", folder), (20, 20)),
        ):
            recipe, *sets, _ = self.trained(folder, *words, *more).args
            self.assertEqual(tuple(len(s.file_paths) for s in sets), counts)
            self.assertEqual(sets[0].element_spec[0].shape[1:], (8, 8, 1))
        self.assertEqual((recipe.ema, recipe.epochs), (0.0, 60))

    def test_wrong_words_are_named(self):
        folder = self.photographs(count=20)
        run_folder = self.root / "run"
        start = ["train", folder, run_folder, "--batch-size=4"]
        for words, message in (
            (("--set", "stepz=3"), "--set must be FIELD=VALUE"),
            (("--set", "steps"), "--set must be FIELD=VALUE"),
            (("--set", "ema=2"), "--set ema must lie in [0, 1]"),
            (("--network=resnet"), "--network must be like 'resnet50'"),
            (("--epochs=0"), "--epochs must be at least 1"),
            (("--batch-size=99"), "--batch-size must be at most 16"),
            (("--validation-split=2"), "--validation-split must be less"),
            (("--test-data=no"), "--test-data must be an existing folder"),
            (("--report-images=0"), "--report-images must be at least 1"),
        ):
            words = (words,) if isinstance(words, str) else words
            with self.subTest(message):
                self.assertStartsWith(self.refused(*start, *words), message)
        self.assertStartsWith(
            self.refused("train", "digits", run_folder, "--test-data=x"),
            "--test-data is for folders of pictures only",
        )

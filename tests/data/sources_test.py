"""Tests of the places that images are read from."""

from absl.testing import parameterized

from keras_sat import data
from tests import photographs
from tests.data.folders import GrayFolder
from tests.data.folders import Temporary
from tests.data.folders import collect
from tests.data.folders import without


class FolderTest(GrayFolder):
    def test_a_file_gives_the_order_of_the_classes(self):
        names = self.folder() / "classes.txt"
        names.write_text("b\na\n")
        dataset = self.dataset(class_names=names)
        self.assertEqual(dataset.class_names, ("b", "a"))
        numbers, labels = self.numbers(dataset), collect(dataset)[1]
        self.assertAllEqual(labels, [1 - number % 2 for number in numbers])

    def test_folders_that_are_wrong_are_refused(self):
        with self.assertRaisesRegex(ValueError, "`directory`.*exist.*nowhere"):
            data.image_folder("nowhere")
        names = self.folder() / "classes.txt"
        names.write_text("a\nc\n")
        for given in (["a", "c"], names):
            with self.assertRaisesRegex(
                ValueError, r"sub-folder: \['c'\].*a name: \['b'\]"
            ):
                self.dataset(class_names=given)
        with self.assertRaisesRegex(ValueError, "`class_names`.*no.txt"):
            self.dataset(class_names="no.txt")
        (self.root / "empty").mkdir()
        with self.assertRaisesRegex(ValueError, "every sub-folder.*empty"):
            self.dataset()
        one = self.folder()
        (one / "only").mkdir()
        with self.assertRaisesRegex(ValueError, "2 or more classes.*only"):
            data.image_folder(one)


class TFDSTest(Temporary):
    @parameterized.parameters(
        ("nonesuch", "train", "`name`.*'cifar10'.*'imagenette'.*nonesuch"),
        ("coco", "train", "`name`.*one image and one class.*'coco'.*objects"),
        ("cifar100", "train", "`data_dir`.*'cifar100'.*download_and_prepare"),
        ("imagenet2012", "train", "`data_dir`.*ILSVRC2012_img_val.tar"),
        ("imagenet_layout", "test", "`split`.*'train', 'validation'.*'test'"),
        ("imagenet_layout", "train[:x]", "`split`.*part of one.*'train.:x"),
    )
    def test_what_is_missing_is_explained(self, name, split, message):
        root = self.folder()
        if name == "imagenet_layout":
            photographs.prepare_imagenet_layout(root)
        with self.assertRaisesRegex(ValueError, message):
            data.load(name, split, data_dir=root)

    def test_a_wrong_folder_or_a_missing_package_is_explained(self):
        with self.assertRaisesRegex(ValueError, "`data_dir`.*existing.*nowh"):
            data.load("cifar100", "train", data_dir="nowhere")
        with self.assertRaisesRegex(TypeError, "`name` must be a str.*=3"):
            data.load(3, "train")
        with without("tensorflow_datasets"):
            with self.assertRaisesRegex(ImportError, r"keras_sat\[data\]"):
                data.load("cifar100", "train")

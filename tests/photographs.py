"""Small sets of images that tests write to disk."""

import io
import pathlib

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from sklearn.datasets import load_sample_images


def photograph(i, height, width):
    """One of many parts of two photographs: a PIL image."""
    image = Image.fromarray(load_sample_images().images[i % 2])
    left, top = 17 * i % (640 - width), 11 * i % (427 - height)
    return image.crop((left, top, left + width, top + height))


def encoded(image, file_format="JPEG", **options):
    """The bytes of a PIL image in some format."""
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def write_folder(root, count=24, size=(60, 80)):
    """An image folder of two classes, parts of two photographs.

    Args:
        root: str or path-like. Where to write.
        count: int. Number of images.
        size: pair of int. Height and width.

    Returns:
        `pathlib.Path` of the folder.
    """
    root = pathlib.Path(root)
    for i in range(count):
        path = root / ("temple", "flower")[i % 2] / f"{i:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(photograph(i, *size)))
    return root


class ImagenetLayout(tfds.core.GeneratorBasedBuilder):
    """A set with the features of ImageNet, made of parts of photographs.

    JPEGs of several sizes: most in color, some gray, CMYK or progressive.
    """

    VERSION = tfds.core.Version("1.0.0")
    CLASSES = ["temple", "flower"]

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(names=self.CLASSES),
                    "file_name": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, manager):
        return {
            "train": self._generate_examples(0, 36),
            "validation": self._generate_examples(36, 12),
        }

    def _generate_examples(self, start, count):
        for i in range(start, start + count):
            image = photograph(i, 50 + i, 90 - i)
            image = image.convert({0: "L", 1: "CMYK"}.get(i % 6, "RGB"))
            contents = encoded(image, progressive=i % 6 == 2)
            name = f"{i:08}.JPEG"
            yield (
                name,
                {
                    "image": io.BytesIO(contents),
                    "label": i % 2,
                    "file_name": name,
                },
            )


def prepare_imagenet_layout(data_dir, num_shards=3):
    """Prepares `ImagenetLayout`, named `"imagenet_layout"`, in a folder."""
    config = tfds.download.DownloadConfig(num_shards=num_shards)
    builder = ImagenetLayout(data_dir=data_dir)
    builder.download_and_prepare(download_config=config)


def gray(level, shape=(9, 12)):
    """A PIL image of one gray level."""
    return Image.fromarray(np.full((*shape, 3), level, np.uint8))

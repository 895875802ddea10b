"""Real images to train on, as batches of images and class ids."""

from keras_sat.data.augmentation import Augmentation
from keras_sat.data.folder_check import check_folder
from keras_sat.data.idx_files import idx_folder
from keras_sat.data.image_datasets import image_folder
from keras_sat.data.image_datasets import load
from keras_sat.data.small_datasets import cifar10
from keras_sat.data.small_datasets import digits

__all__ = [
    "Augmentation",
    "check_folder",
    "cifar10",
    "digits",
    "idx_folder",
    "image_folder",
    "load",
]

"""From files and grey levels to the images that a model sees."""

from keras_sat.preprocessing.decoding import FORMATS
from keras_sat.preprocessing.decoding import decode
from keras_sat.preprocessing.decoding import has_known_format
from keras_sat.preprocessing.decoding import to_gray
from keras_sat.preprocessing.evaluation_view import CHANNELS
from keras_sat.preprocessing.evaluation_view import CROP_PADDING
from keras_sat.preprocessing.evaluation_view import CROPS
from keras_sat.preprocessing.evaluation_view import View
from keras_sat.preprocessing.evaluation_view import center_crop
from keras_sat.preprocessing.evaluation_view import center_crop_and_resize
from keras_sat.preprocessing.evaluation_view import center_window
from keras_sat.preprocessing.evaluation_view import decode_center
from keras_sat.preprocessing.evaluation_view import evaluation_image
from keras_sat.preprocessing.evaluation_view import resize_and_center_crop
from keras_sat.preprocessing.resizing import RESIZINGS
from keras_sat.preprocessing.resizing import resize
from keras_sat.preprocessing.resizing import resize_as_cv2
from keras_sat.preprocessing.resizing import resize_plain
from keras_sat.preprocessing.resizing import to_uint8
from keras_sat.preprocessing.value_range import to_float

# The name of `CROP_PADDING` in version 0.1.
PADDING = CROP_PADDING

__all__ = [
    "CHANNELS",
    "CROPS",
    "CROP_PADDING",
    "FORMATS",
    "PADDING",
    "RESIZINGS",
    "View",
    "center_crop",
    "center_crop_and_resize",
    "center_window",
    "decode",
    "decode_center",
    "evaluation_image",
    "has_known_format",
    "resize",
    "resize_and_center_crop",
    "resize_as_cv2",
    "resize_plain",
    "to_float",
    "to_gray",
    "to_uint8",
]

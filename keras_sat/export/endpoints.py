"""The functions of a classifier that a server offers."""

import dataclasses

import tensorflow as tf

from keras_sat import checks
from keras_sat import preprocessing
from keras_sat.export import serving_options
from keras_sat.export.tracing import traced
from keras_sat.preprocessing import image_headers

# How far rounding may move pixels out of the range, as a fraction of it.
ROUNDING = 1e-4
# Images that are decoded at a time: enough for speed, few enough for memory.
AT_A_TIME = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Endpoints:
    """The functions that a server offers; see `export.saved_model`.

    Args:
        logits: `tf.types.experimental.ConcreteFunction`, from `traced`.
        image_shape: tuple of int. Height, width and channels.
        value_range: pair of floats. The values of black and of white.
        class_names: list of str, one for each class.
        top_k: int. Number of classes that an answer names.
        max_pixels: int. Height times width that an encoded image may have.
        view: `preprocessing.View`. What is seen of an encoded image.
    """

    logits: object
    image_shape: tuple
    value_range: tuple
    class_names: list
    top_k: int
    max_pixels: int
    view: preprocessing.View

    def signatures(self):
        """Returns the functions by the names that clients ask for.

        Returns:
            dict from str to pairs of a method and the `tf.TensorSpec` of its
            argument.
        """
        spec, shape = tf.TensorSpec, (None, *self.image_shape)
        signatures = {
            # The name that Keras's own exports have.
            "serve": (self.serve, spec(shape, name="images")),
            "serving_default": (self.serve_floats, spec(shape, name="images")),
            "serve_uint8": (self.serve_uint8, spec(shape, tf.uint8, "images")),
        }
        if self.image_shape[-1] in preprocessing.CHANNELS:
            files = spec((None,), tf.string, "image_bytes")
            signatures["serve_jpeg"] = (self.serve_files, files)
        return signatures

    def serve(self, images):
        """Returns the logits of float images, which are not checked."""
        return self._logits_of(images)

    def serve_floats(self, images):
        """Answers float images, and refuses those outside the range."""
        images = self._of_right_shape(images)
        with tf.control_dependencies([self._in_range(images)]):
            return self._answers(tf.identity(images))

    def serve_uint8(self, images):
        """Answers uint8 images."""
        images = self._of_right_shape(images)
        return self._answers(preprocessing.to_float(images, self.value_range))

    def serve_files(self, image_bytes):
        """Answers encoded images; errors give the places of the bad ones."""
        known = preprocessing.has_known_format(image_bytes)
        lengths = tf.strings.length(image_bytes)
        check = _all_are(known, f"{preprocessing.FORMATS} files", lengths)
        with tf.control_dependencies([check]):
            # The copy waits for the check; so it is at the other places here.
            entries, pixels, images = self._decoded(tf.identity(image_bytes))
        place = entries[:, tf.newaxis]
        whole = tf.scatter_nd(place, tf.ones_like(entries), tf.shape(lengths))
        check = _all_are(whole > 0, "files that can be decoded", lengths)
        with tf.control_dependencies([check]):
            small = pixels <= self.max_pixels
            expected = f"images of at most {self.max_pixels} pixels"
            check = _all_are(small, expected, pixels)
        with tf.control_dependencies([check]):
            return self.serve_uint8(tf.identity(images))

    def _decoded(self, image_bytes):
        """Decodes the images that can be decoded, and leaves out the others.

        Returns:
            int32 places in the batch, int64 numbers of pixels, and uint8
            images. An image with too many pixels is not decoded but black.
        """
        shape = self.image_shape

        def read(entry, contents):
            pixels = image_headers.num_pixels(contents)
            image = tf.cond(
                pixels <= self.max_pixels,
                lambda: self.view.image(contents, *shape),
                lambda: tf.zeros(shape, tf.uint8),
            )
            return entry, pixels, tf.ensure_shape(image, shape)

        # The operation that decodes ends the request at the first bad image.
        # Only a `tf.data` pipeline can ignore its errors.
        count = tf.size(image_bytes)
        files = tf.data.Dataset.from_tensor_slices(
            (tf.range(count), image_bytes)
        )
        whole = files.map(read, AT_A_TIME, deterministic=True).ignore_errors()
        nothing = (
            tf.zeros([0], tf.int32),
            tf.zeros([0], tf.int64),
            tf.zeros([0, *shape], tf.uint8),
        )
        batch = whole.batch(tf.cast(tf.maximum(count, 1), tf.int64))
        batch = batch.concatenate(tf.data.Dataset.from_tensors(nothing))
        return batch.take(1).get_single_element()

    def _of_right_shape(self, images):
        """Returns the images, or ends the request if their shape is wrong."""
        # Servers do not check the shape of what they pass on.
        return tf.ensure_shape(images, (None, *self.image_shape))

    def _in_range(self, images):
        """Returns an operation that fails if a pixel is out of the range."""
        low, high = self.value_range
        slack = ROUNDING * (high - low)
        inside = (images >= low - slack) & (images <= high + slack)
        message = (
            f"`images` must lie in `value_range`={self.value_range}. Scale "
            "them, or send uint8 to serve_uint8. Received lowest and highest:"
        )

        def refuse():
            bounds = tf.reduce_min(images), tf.reduce_max(images)
            return tf.debugging.Assert(False, [message, *bounds])

        # NaN is neither less nor greater, so it is not inside. The numbers of
        # the message are computed only if there is an error.
        return tf.cond(tf.reduce_all(inside), tf.no_op, refuse)

    def _logits_of(self, images):
        """Returns the logits, of an empty batch as well."""
        # Convolutions fail on an empty batch: it gets one black image, whose
        # logits are cut off again.
        count = tf.shape(images)[0]
        missing = tf.zeros([tf.maximum(1 - count, 0), *self.image_shape])
        # Not by tf.pad, which TensorFlow fuses wrongly with a convolution on
        # CPUs.
        return self.logits(tf.concat([images, missing], axis=0))[:count]

    def _answers(self, images):
        """Returns what all signatures but `serve` answer, by name."""
        logits = self._logits_of(images)
        _, classes = tf.math.top_k(logits, self.top_k)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "top_classes": classes,
            "top_names": tf.gather(tf.constant(self.class_names), classes),
        }


def _all_are(good, expected, found):
    """Returns an operation that fails unless all files of a batch are good.

    Args:
        good: bool tensor `(batch,)`.
        expected: str. Completes "`image_bytes` must be ...".
        found: int tensor `(batch,)`. Numbers of bytes, int32, or of pixels,
            int64. The error shows those of the bad files.
    """
    bad = tf.where(~good)[:, 0]
    unit = "pixels" if found.dtype == tf.int64 else "bytes"
    return tf.debugging.Assert(
        tf.reduce_all(good),
        [
            f"`image_bytes` must be {expected}. Received others, at these "
            f"places in the batch and of so many {unit}:",
            bad,
            tf.gather(found, bad),
        ],
        summarize=10,
    )


def endpoints_of(
    network,
    value_range,
    image_size=None,
    class_names=None,
    top_k=None,
    max_pixels=serving_options.MAX_PIXELS,
    **view,
):
    """Returns the functions that a server offers of a network.

    Args:
        network: `keras.Model` from images to logits.
        value_range: pair of floats. The values of black and of white.
        image_size: pair of int. See `export.saved_model`.
        class_names: sequence of str. See `export.saved_model`.
        top_k: int >= 1. See `export.saved_model`.
        max_pixels: int >= 1. See `export.saved_model`.
        **view: `crop`, `crop_padding` and `resizing`. See
            `preprocessing.View`.

    Returns:
        `Endpoints`.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If the network is no classifier of images, or if arguments
            disagree with it.
    """
    image_shape, num_classes = checks.classifier("model", network)
    checks.value_range(value_range)
    checks.integer("max_pixels", max_pixels)
    image_shape = serving_options.full_image_shape(image_shape, image_size)
    return Endpoints(
        class_names=serving_options.checked_names(class_names, num_classes),
        top_k=serving_options.checked_top_k(top_k, num_classes),
        value_range=tuple(map(float, value_range)),
        image_shape=image_shape,
        max_pixels=int(max_pixels),
        view=preprocessing.View(**view),
        logits=traced(network, image_shape),
    )

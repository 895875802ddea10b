"""The functions that a server offers of a classifier."""

import collections
import dataclasses

import tensorflow as tf

from keras_sat import checks
from keras_sat import preprocessing
from keras_sat.export.tracing import traced
from keras_sat.preprocessing import image_headers

# As a fraction of the range: what rounding may do to an image.
SLACK = 1e-4
TOP_K = 5
MAX_PIXELS = 25_000_000
# Images that are decoded at a time: enough for speed, few enough for memory.
AT_A_TIME = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Endpoints:
    """The functions that a server offers.

    Args:
        logits: `tf.types.experimental.ConcreteFunction`, from `traced`.
        image_shape: tuple. Height, width and channels.
        value_range: pair of floats.
        class_names: list of str.
        top_k: int.
        max_pixels: int. What an encoded image may have.
    """

    logits: object
    image_shape: tuple
    value_range: tuple
    class_names: list
    top_k: int
    max_pixels: int

    def signatures(self):
        """From names to pairs of a function and what it takes."""
        spec, shape = tf.TensorSpec, (None, *self.image_shape)
        signatures = {
            "serve": (self.serve, spec(shape, name="images")),
            "serving_default": (self.of_floats, spec(shape, name="images")),
            "serve_uint8": (self.of_uint8, spec(shape, tf.uint8, "images")),
        }
        if self.image_shape[-1] == 3:
            files = spec((None,), tf.string, "image_bytes")
            signatures["serve_jpeg"] = (self.of_files, files)
        return signatures

    def serve(self, images):
        """The logits of float images, without any check."""
        return self._logits_of(images)

    def of_floats(self, images):
        """The answers for float images, which must lie in the range."""
        images = self._of_right_shape(images)
        with tf.control_dependencies([self._in_range(images)]):
            return self._answers(tf.identity(images))

    def of_uint8(self, images):
        """The answers for uint8 images."""
        images = self._of_right_shape(images)
        return self._answers(preprocessing.to_float(images, self.value_range))

    def of_files(self, image_bytes):
        """The answers for encoded images; errors name those that are bad."""
        known = preprocessing.has_known_format(image_bytes)
        lengths = tf.strings.length(image_bytes)
        check = _all_are(known, f"{preprocessing.FORMATS} files", lengths)
        with tf.control_dependencies([check]):
            entries, pixels, images = self._decoded(tf.identity(image_bytes))
        place = entries[:, tf.newaxis]
        whole = tf.scatter_nd(place, tf.ones_like(entries), tf.shape(lengths))
        check = _all_are(whole > 0, "files that can be decoded", lengths)
        with tf.control_dependencies([check]):
            small = pixels <= self.max_pixels
            expected = f"images of at most {self.max_pixels} pixels"
            check = _all_are(small, expected, pixels)
        with tf.control_dependencies([check]):
            return self.of_uint8(tf.identity(images))

    def _decoded(self, image_bytes):
        """Decodes what can be decoded.

        Returns:
            Their places in the batch, their pixels, and uint8 images, which
            are black in place of those that are too large.
        """
        shape = self.image_shape

        def read(entry, contents):
            pixels = image_headers.num_pixels(contents)
            image = tf.cond(
                pixels <= self.max_pixels,
                lambda: preprocessing.evaluation_image(contents, *shape[:2]),
                lambda: tf.zeros(shape, tf.uint8),
            )
            return entry, pixels, tf.ensure_shape(image, shape)

        # Only a pipeline goes on after an image that cannot be decoded.
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
        # Servers may hand on images of any shape.
        return tf.ensure_shape(images, (None, *self.image_shape))

    def _in_range(self, images):
        low, high = self.value_range
        slack = SLACK * (high - low)
        inside = (images >= low - slack) & (images <= high + slack)
        message = (
            f"`images` must lie in `value_range`={self.value_range}. Scale "
            "them, or send uint8 to serve_uint8. Received lowest and highest:"
        )

        def refuse():
            bounds = tf.reduce_min(images), tf.reduce_max(images)
            return tf.debugging.Assert(False, [message, *bounds])

        # NaN is neither less nor greater, hence not inside.
        return tf.cond(tf.reduce_all(inside), tf.no_op, refuse)

    def _logits_of(self, images):
        """The logits, also of no image, which convolutions cannot take."""
        count = tf.shape(images)[0]
        missing = tf.zeros([tf.maximum(1 - count, 0), *self.image_shape])
        # Not tf.pad: that and a convolution are wrongly made one on CPUs.
        return self.logits(tf.concat([images, missing], axis=0))[:count]

    def _answers(self, images):
        logits = self._logits_of(images)
        _, classes = tf.math.top_k(logits, self.top_k)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "top_classes": classes,
            "top_names": tf.gather(tf.constant(self.class_names), classes),
        }


def _all_are(good, expected, found):
    """An operation that fails unless all files of a batch are good.

    Args:
        good: bool tensor `(batch,)`.
        expected: str.
        found: int tensor `(batch,)`. What to tell of those that are not.
    """
    bad = tf.where(~good)[:, 0]
    what = "pixels" if found.dtype == tf.int64 else "bytes"
    return tf.debugging.Assert(
        tf.reduce_all(good),
        [
            f"`image_bytes` must be {expected}. Received others, at these "
            f"places in the batch and of so many {what}:",
            bad,
            tf.gather(found, bad),
        ],
        summarize=10,
    )


def of(
    network,
    value_range,
    image_size=None,
    class_names=None,
    top_k=None,
    max_pixels=MAX_PIXELS,
):
    """The endpoints of a network; see `keras_sat.export.saved_model`.

    Args:
        network: `keras.Model` from images to logits.
        value_range: pair of floats.
        image_size: pair of int, or `None` for that of the network.
        class_names: sequence of str, or `None` for numbers.
        top_k: int, or `None` for 5 or all.
        max_pixels: int >= 1.

    Returns:
        `Endpoints`.
    """
    image_shape, num_classes = checks.classifier("model", network)
    checks.value_range(value_range)
    checks.integer("max_pixels", max_pixels)
    image_shape = _image_shape(image_shape, image_size)
    return Endpoints(
        class_names=_checked_names(class_names, num_classes),
        top_k=_checked_top_k(top_k, num_classes),
        value_range=tuple(map(float, value_range)),
        image_shape=image_shape,
        max_pixels=int(max_pixels),
        logits=traced(network, image_shape),
    )


def _image_shape(image_shape, image_size):
    height, width, channels = _three(image_shape)
    if image_size is None and None not in (height, width):
        return height, width, channels
    expected = f"be a pair of int that fits {image_shape}"
    if not isinstance(image_size, tuple | list) or len(image_size) != 2:
        checks.refuse("image_size", expected, image_size, error=TypeError)
    for size, known in zip(image_size, (height, width), strict=True):
        checks.integer("image_size", size)
        if known not in (None, size):
            checks.refuse("image_size", expected, image_size)
    return (*image_size, channels)


def _three(shape):
    if len(shape) != 3:
        checks.refuse(
            "model",
            "take images (batch, height, width, channels)",
            checks.Described(f"images of the shape {shape}"),
        )
    return shape


def _checked_names(class_names, num_classes):
    if class_names is None:
        return [str(number) for number in range(num_classes)]
    kind = "be a sequence of str"
    if isinstance(class_names, str) or not hasattr(class_names, "__iter__"):
        checks.refuse("class_names", kind, class_names, error=TypeError)
    given, class_names = class_names, list(class_names)
    if not all(isinstance(name, str) for name in class_names):
        checks.refuse("class_names", kind, given, error=TypeError)
    if len(class_names) != num_classes:
        checks.refuse(
            "class_names",
            f"have one entry for each of the {num_classes} classes",
            checks.Described(f"{len(class_names)} names"),
        )
    counts = collections.Counter(class_names)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        checks.refuse(
            "class_names",
            "differ from each other",
            checks.Described(f"these more than once: {repeated[:10]}"),
            "Add what tells the classes apart, such as their numbers.",
        )
    return class_names


def _checked_top_k(top_k, num_classes):
    if top_k is None:
        return min(TOP_K, num_classes)
    checks.integer("top_k", top_k)
    if top_k > num_classes:
        expected = f"be at most {num_classes}, the classes"
        checks.refuse("top_k", expected, top_k)
    return top_k

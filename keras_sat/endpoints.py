"""The functions that a server offers of a classifier."""

import dataclasses

import tensorflow as tf

from keras_sat import checks
from keras_sat import preprocessing
from keras_sat.tracing import traced

# As a fraction of the range: what rounding may do to an image.
SLACK = 1e-4
TOP_K = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Endpoints:
    """The functions that a server offers.

    Args:
        logits: `tf.types.experimental.ConcreteFunction`, from `traced`.
        image_shape: tuple. Height, width and channels.
        value_range: pair of floats.
        class_names: list of str.
        top_k: int.
    """

    logits: object
    image_shape: tuple
    value_range: tuple
    class_names: list
    top_k: int

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
        return self.logits(images)

    def of_floats(self, images):
        """The answers for float images, which must lie in the range."""
        images = self._of_right_shape(images)
        with tf.control_dependencies([self._in_range(images)]):
            return self._answers(tf.identity(images))

    def of_uint8(self, images):
        """The answers for uint8 images."""
        low, high = self.value_range
        images = self._of_right_shape(images)
        images = tf.cast(images, tf.float32) * ((high - low) / 255) + low
        return self._answers(images)

    def of_files(self, image_bytes):
        """The answers for encoded images."""
        height, width, _ = self.image_shape

        def read(entry):
            contents = image_bytes[entry]
            check = tf.debugging.Assert(
                preprocessing.has_known_format(contents),
                [
                    f"`image_bytes` must be a {preprocessing.FORMATS} file. "
                    "Received other bytes; entry and number of bytes:",
                    entry,
                    tf.strings.length(contents),
                ],
            )
            with tf.control_dependencies([check]):
                contents = tf.identity(contents)
            return preprocessing.evaluation_image(contents, height, width)

        images = tf.map_fn(
            read,
            tf.range(tf.size(image_bytes)),
            fn_output_signature=tf.TensorSpec((height, width, 3), tf.uint8),
        )
        return self.of_uint8(images)

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

    def _answers(self, images):
        logits = self.logits(images)
        _, classes = tf.math.top_k(logits, self.top_k)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "top_classes": classes,
            "top_names": tf.gather(tf.constant(self.class_names), classes),
        }


def of(network, value_range, image_size=None, class_names=None, top_k=None):
    """The endpoints of a network; see `keras_sat.export.saved_model`.

    Args:
        network: `keras.Model` from images to logits.
        value_range: pair of floats.
        image_size: pair of int, or `None` for that of the network.
        class_names: sequence of str, or `None` for numbers.
        top_k: int, or `None` for 5 or all.

    Returns:
        `Endpoints`.
    """
    image_shape, num_classes = checks.classifier("model", network)
    checks.value_range(value_range)
    image_shape = _image_shape(image_shape, image_size)
    return Endpoints(
        class_names=_checked_names(class_names, num_classes),
        top_k=_checked_top_k(top_k, num_classes),
        value_range=tuple(map(float, value_range)),
        image_shape=image_shape,
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
    if isinstance(class_names, str) or not all(
        isinstance(name, str) for name in class_names
    ):
        kind = "be a sequence of str"
        checks.refuse("class_names", kind, class_names, error=TypeError)
    if len(class_names) != num_classes:
        checks.refuse(
            "class_names",
            f"have one entry for each of the {num_classes} classes",
            checks.Described(f"{len(class_names)} names"),
        )
    return list(class_names)


def _checked_top_k(top_k, num_classes):
    if top_k is None:
        return min(TOP_K, num_classes)
    checks.integer("top_k", top_k)
    if top_k > num_classes:
        expected = f"be at most {num_classes}, the classes"
        checks.refuse("top_k", expected, top_k)
    return top_k

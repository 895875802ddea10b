"""Decoding of encoded images, whole or one window of them."""

import tensorflow as tf

# The file formats that `decode` reads, for messages to users.
FORMATS = "JPEG, PNG, WebP, GIF or BMP"


def decode(contents):
    """Decodes the whole of an encoded image.

    Gray is repeated in the three channels, an alpha channel is left out, 16
    bits are cut to 8, and CMYK is converted. Of a GIF, the first frame is
    returned.

    Args:
        contents: scalar string tensor. A JPEG, PNG, WebP, GIF or BMP file.

    Returns:
        uint8 tensor `(height, width, 3)`, RGB.
    """
    image = tf.io.decode_image(contents, channels=3, expand_animations=False)
    return tf.ensure_shape(image, (None, None, 3))


def decode_window(contents, choose_window):
    """Decodes one window of an encoded image.

    Of a JPEG, no more than the window is decoded, which is faster. The pixels
    at its border can then differ a little from those of the whole image: JPEGs
    store colors at half the resolution, and decoders interpolate them.

    Args:
        contents: scalar string tensor. See `decode`.
        choose_window: function from the shape of the image, an int32 tensor
            `(3,)`, to the window: an int32 tensor with top, left, height and
            width.

    Returns:
        uint8 tensor `(height of the window, width of the window, 3)`, RGB.
    """

    def of_jpeg():
        # Reads the header only.
        window = choose_window(tf.io.extract_jpeg_shape(contents))
        return tf.io.decode_and_crop_jpeg(contents, window, channels=3)

    def of_other_format():
        image = decode(contents)
        return crop(image, choose_window(tf.shape(image)))

    return tf.cond(tf.io.is_jpeg(contents), of_jpeg, of_other_format)


def to_gray(image):
    """Returns the brightness of an RGB image, as JPEG and PNG define it.

    Gray that was repeated in three channels keeps its values.

    Args:
        image: uint8 tensor `(height, width, 3)`.

    Returns:
        uint8 tensor `(height, width, 1)`.

    Reference:
    - [ITU-R BT.601](https://www.itu.int/rec/R-REC-BT.601)
    """
    # In whole numbers, so that nothing but the result is rounded.
    thousandths = tf.cast(image, tf.int32) * [299, 587, 114]
    total = tf.reduce_sum(thousandths, axis=-1, keepdims=True)
    return tf.cast((total + 500) // 1000, tf.uint8)


def crop(image, window):
    """Cuts a window out of a decoded image.

    Args:
        image: tensor `(height, width, channels)`.
        window: int32 tensor: top, left, height and width.

    Returns:
        The part of `image` inside the window.
    """
    top, left, height, width = tf.unstack(window)
    return image[top : top + height, left : left + width]


def has_known_format(contents):
    """Tells which strings begin like an image that `decode` reads.

    Args:
        contents: string tensor of any shape.

    Returns:
        bool tensor of that shape. What follows the first bytes may still be
        damaged.
    """
    first = tf.strings.substr(contents, 0, 4)
    known = [first == start for start in (b"\x89PNG", b"RIFF", b"GIF8")]
    known.append(tf.strings.substr(contents, 0, 2) == b"BM")
    known.append(tf.strings.substr(contents, 0, 3) == b"\xff\xd8\xff")
    return tf.reduce_any(tf.stack(known), axis=0)

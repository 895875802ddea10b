"""Reads the size of an encoded image from its first bytes.

A file of a few kilobytes can be an image of gigabytes, so servers check the
size before they decode anything. These functions are part of the graphs that
servers load, and use TensorFlow operations only.
"""

import tensorflow as tf

# Bytes of the longest header that is read; a GIF has one for each frame.
HEADER_BYTES = 32
# Parts of a GIF, of at most 255 bytes each, that are read. Without a limit, a
# file could keep a server busy.
MAX_GIF_PARTS = 40_000


def num_pixels(contents):
    """Returns the number of pixels that an image has when it is decoded.

    Args:
        contents: scalar string tensor: JPEG, PNG, WebP, GIF or BMP; see
            `preprocessing.has_known_format`.

    Returns:
        int64 scalar: height times width; of a GIF, the sum over its frames,
        since TensorFlow decodes all of them. Any number if the header is
        damaged.

    Raises:
        InvalidArgumentError: If the file begins like a JPEG and is none.
    """
    # Short files are filled up with zeros, so that every place can be read.
    head = tf.strings.substr(contents, 0, HEADER_BYTES)
    head = tf.strings.join([head, b"\0" * HEADER_BYTES])
    head = tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int64)

    def of_jpeg():
        size = tf.io.extract_jpeg_shape(contents)[:2]
        return tf.reduce_prod(tf.cast(size, tf.int64))

    def of_png():
        return _number(head[19:15:-1]) * _number(head[23:19:-1])

    def of_bmp():
        return _absolute(_number(head[18:22])) * _absolute(_number(head[22:26]))

    start = tf.strings.substr(contents, 0, 4)
    cases = [
        (tf.io.is_jpeg(contents), of_jpeg),
        (tf.equal(start, b"\x89PNG"), of_png),
        (tf.equal(start, b"RIFF"), lambda: _webp_pixels(contents, head)),
        (tf.equal(start, b"GIF8"), lambda: _gif_pixels(contents)),
    ]
    return tf.case(cases, default=of_bmp)


def _number(values):
    """Returns the number that bytes stand for, the lowest byte first."""
    return tf.reduce_sum(
        values
        * tf.constant(256, values.dtype)
        ** tf.range(tf.size(values, values.dtype))
    )


def _absolute(number):
    """Returns the absolute value of a signed number of 32 bits.

    A BMP that is stored from top to bottom has a negative height.
    """
    return tf.minimum(number, 2**32 - number)


def _webp_pixels(contents, head):
    """Reads the first chunk of a WebP, which is of one of three kinds.

    Reference:
    - [RFC 9649](https://www.rfc-editor.org/rfc/rfc9649)
    """
    padded = tf.strings.join([contents, b"\0" * HEADER_BYTES])
    kind = tf.strings.substr(padded, 12, 4)
    bits = _number(head[21:25])
    lossless = (1 + bits % 2**14) * (1 + bits // 2**14 % 2**14)
    extended = (1 + _number(head[24:27])) * (1 + _number(head[27:30]))
    lossy = (_number(head[26:28]) % 2**14) * (_number(head[28:30]) % 2**14)
    return tf.where(
        kind == b"VP8L", lossless, tf.where(kind == b"VP8X", extended, lossy)
    )


def _gif_pixels(contents):
    """Adds up the pixels of the frames of a GIF, block by block.

    Reference:
    - [GIF89a](https://www.w3.org/Graphics/GIF/spec-gif89a.txt)
    """
    size = tf.strings.length(contents)
    data = tf.io.decode_raw(tf.strings.join([contents, b"\0" * 16]), tf.uint8)

    def byte(place):
        # Zeros were appended to the file: there, the loops end.
        return tf.cast(data[tf.minimum(place, size)], tf.int32)

    def table(place):
        """Returns the length of the color table that flags announce."""
        flags = byte(place)
        return tf.where(
            flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0
        )

    def skipped(place, parts):
        """Skips parts that begin with their length; a length of 0 ends them."""
        place, parts = tf.while_loop(
            lambda place, parts: (byte(place) > 0) & (parts < MAX_GIF_PARTS),
            lambda place, parts: (place + 1 + byte(place), parts + 1),
            (place, parts),
        )
        return place + 1, parts

    def is_block(place, parts, pixels):
        known = (byte(place) == ord("!")) | (byte(place) == ord(","))
        return known & (parts < MAX_GIF_PARTS)

    def next_block(place, parts, pixels):
        is_frame = byte(place) == ord(",")
        sides = [
            tf.cast(byte(place + i) + 256 * byte(place + i + 1), tf.int64)
            for i in (5, 7)
        ]
        pixels += tf.where(is_frame, sides[0] * sides[1], 0)
        begin = place + tf.where(is_frame, 11 + table(place + 9), 2)
        return *skipped(begin, parts + 1), pixels

    start = 13 + table(10), 0, tf.constant(0, tf.int64)
    _, parts, pixels = tf.while_loop(is_block, next_block, start)
    return tf.where(parts < MAX_GIF_PARTS, pixels, tf.int64.max)

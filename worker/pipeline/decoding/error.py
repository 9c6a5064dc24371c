"""Error of the decoding of an image."""


class DecodeError(Exception):
    """An image cannot be read or decoded to HU.

    The text is shown to the reader: it states the value and what was expected, and contains
    neither header text nor messages of a decoder.
    """

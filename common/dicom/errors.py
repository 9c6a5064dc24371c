"""Errors of the reading of files and encoded data sets."""


class NotPart10(ValueError):
    """The data do not begin with a valid File Meta Information."""


class Undecodable(ValueError):
    """The bytes are not a complete data set within the limits; the text is an Error Comment."""


class LimitExceeded(Undecodable):
    """A limit of ``common.dicom.limits`` is exceeded."""

"""C-STORE statuses by name (PS3.4 Table B.2-1, PS3.7 Annex C), and a refusal."""

from pydicom import Dataset

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110  # PS3.7 C.5.19: our own fault
OUT_OF_RESOURCES = 0xA700  # PS3.4 Table B.2-1: disk full, instance too large
DATA_SET_DOES_NOT_MATCH = 0xA900  # PS3.4 Table B.2-1: command and data set disagree
UNDECODABLE = 0xC000  # PS3.4 Table B.2-1, 0xCxxx: truncated or not a data set
SOP_CLASS_NOT_SUPPORTED = 0x0122  # PS3.18 Table I.2-2, PS3.7 C.5.6
TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122  # PS3.18 Table I.2-2
INVALID_UID = 0xC010  # PS3.4 Table B.2-1, 0xCxxx: a UID is missing or is not one

# PS3.7 C.4.2, C.5: N-ACTION
NO_SUCH_ACTION = 0x0123
INVALID_ARGUMENT_VALUE = 0x0115
NO_SUCH_SOP_INSTANCE = 0x0112
RESOURCE_LIMITATION = 0x0213

MAX_COMMENT = 64  # Error Comment (0000,0902) is LO


class Refusal(Exception):
    """An instance that is not stored: the status and the comment that the sender gets."""

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(status, comment)
        self.status = status
        self.comment = comment

    def __str__(self) -> str:
        return f"0x{self.status:04X} {self.comment}"

    def to_data_set(self) -> Dataset:
        """Status with Error Comment, as pynetdicom takes it from a handler."""
        ds = Dataset()
        ds.Status = self.status
        ds.ErrorComment = self.comment[:MAX_COMMENT]
        return ds

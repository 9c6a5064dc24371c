"""Refusal of one instance."""

from pydicom import Dataset

MAX_COMMENT = 64  # Error Comment (0000,0902) is LO


class Refusal(Exception):
    """An instance that is not stored: status and Error Comment for the sender."""

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(status, comment)
        self.status = status
        self.comment = comment

    def __str__(self) -> str:
        return f"0x{self.status:04X} {self.comment}"

    def to_data_set(self) -> Dataset:
        """Return Status and Error Comment as a pynetdicom handler returns them."""
        ds = Dataset()
        ds.Status = self.status
        ds.ErrorComment = self.comment[:MAX_COMMENT]
        return ds

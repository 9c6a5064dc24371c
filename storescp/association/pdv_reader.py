"""Split a stream of P-DATA-TF PDUs into parts of fragments. No I/O."""

from storescp.association.message_assembler import MessageAssembler
from storescp.association.pdu import (
    P_DATA_TF,
    PDU_HEADER,
    PDV_HEADER,
    BadPdu,
    Fragment,
    read_fragment,
)


class PdvReader:
    """The position in the stream of one association.

    The caller provides the next bytes of the stream, from ``needed`` to ``wanted``, and skips
    those that ``read`` has consumed: a PDU header, a PDV header, or a part of a fragment. Parts
    go to the assembler as slices of the caller's buffer.

    ``at_pdu`` : the next byte begins a PDU. ``in_fragment`` : the next ``read`` takes a part of
    a fragment, which may be empty. (Attributes: properties would cost as much as ``read``.)
    """

    __slots__ = (
        "_assembler",
        "_fragment",
        "_fragment_left",
        "_max_pdu_bytes",
        "_pdu_left",
        "at_pdu",
        "in_fragment",
        "needed",
        "wanted",
    )

    def __init__(self, assembler: MessageAssembler, *, max_pdu_bytes: int) -> None:
        self._assembler = assembler
        self._max_pdu_bytes = max_pdu_bytes
        self.reset()

    def reset(self) -> None:
        """Return to the start of a PDU."""
        self._pdu_left = self._fragment_left = 0
        self._fragment: Fragment | None = None
        self.needed = self.wanted = PDU_HEADER.size
        self.at_pdu, self.in_fragment = True, False

    def read(self, data: memoryview) -> int:
        """Take one step and return the number of bytes consumed.

        Raises BadPdu, and BadCommand as the assembler does.
        """
        if self._fragment is not None:
            return self._read_part(self._fragment, data)
        if self.at_pdu:
            return self._read_pdu_header(data)
        return self._read_pdv_header(data)

    def _read_pdu_header(self, data: memoryview) -> int:
        kind, length = PDU_HEADER.unpack_from(data)
        if kind != P_DATA_TF:
            raise BadPdu(f"PDU of type 0x{kind:02X} in a stream of P-DATA-TF")
        if length > self._max_pdu_bytes:
            raise BadPdu(f"P-DATA-TF PDU of {length} bytes, more than was agreed")
        self._pdu_left = length
        self._expect_header()
        return PDU_HEADER.size

    def _read_pdv_header(self, data: memoryview) -> int:
        fragment = read_fragment(data[: PDV_HEADER.size], self._pdu_left)
        self._assembler.check(fragment)
        self._pdu_left -= PDV_HEADER.size
        self._fragment, self._fragment_left = fragment, fragment.length
        self.in_fragment = True
        self.needed, self.wanted = min(1, fragment.length), fragment.length
        return PDV_HEADER.size

    def _read_part(self, fragment: Fragment, data: memoryview) -> int:
        part = data if len(data) <= self._fragment_left else data[: self._fragment_left]
        count = len(part)
        self._fragment_left -= count
        self._pdu_left -= count
        if self._fragment_left:
            self.wanted = self._fragment_left
            self._assembler.add(fragment, part, last=False)
            return count
        self._fragment, self.in_fragment = None, False
        self._assembler.add(fragment, part, last=fragment.is_last)
        self._expect_header()
        return count

    def _expect_header(self) -> None:
        """Expect a PDV header, or a PDU header where the PDU has ended."""
        self.at_pdu = not self._pdu_left
        if self.at_pdu:
            self.needed = self.wanted = PDU_HEADER.size
        elif self._pdu_left < PDV_HEADER.size:
            raise BadPdu(f"{self._pdu_left} bytes behind the last item of a P-DATA-TF PDU")
        else:
            self.needed = self.wanted = PDV_HEADER.size

"""Assemble messages from fragments (PS3.7 6.3.1, PS3.8 Annex E); stream C-STORE data sets."""

from typing import Protocol

from storescp.association.command import C_STORE_RQ, Command, decode_command
from storescp.association.pdu import IS_COMMAND, IS_LAST, BadPdu, Fragment
from storescp.store.refusal import Refusal

MAX_COMMAND_BYTES = 64 * 1024
MAX_OTHER_DATA_SET = 4 * 1024 * 1024
MAX_GATHERED = 256
"""Parts for one system call, which takes 1024 (IOV_MAX)."""


class DataSetSink(Protocol):
    """Takes the data set of one C-STORE."""

    def write(self, *parts: bytes | memoryview) -> None:
        """Append parts; they may change after the call."""

    def finish(self) -> Refusal | None:
        """Complete the data set; return None for success."""

    def discard(self) -> None:
        """Abandon the data set: its rest will not arrive."""


class MessageHandler(Protocol):
    """Takes assembled messages."""

    def begin_store(self, command: Command, context_id: int) -> DataSetSink:
        """Begin a C-STORE; raises BadPdu where the presentation context was not accepted."""

    def answer_store(self, command: Command, context_id: int, refusal: Refusal | None) -> None:
        """Answer a C-STORE after its data set is stored or refused."""

    def forward(self, context_id: int, control: int, part: bytes) -> None:
        """Take a fragment of any other message, with its message control header."""


class MessageAssembler:
    """The message that one association is receiving."""

    def __init__(self, handler: MessageHandler) -> None:
        self._handler = handler
        self._context_id = 0
        self._encoded_command = bytearray()
        self._command: Command | None = None  # while its data set arrives
        self._sink: DataSetSink | None = None  # of a C-STORE
        self._gathered: list[memoryview] = []  # for the sink
        self._forwarded_bytes = 0

    @property
    def in_message(self) -> bool:
        """True while a message has begun and not ended."""
        return self._command is not None or bool(self._encoded_command)

    def check(self, fragment: Fragment) -> None:
        """Raise BadPdu where this fragment may not follow."""
        if fragment.is_command == (self._command is not None):
            raise BadPdu(
                "a command within a data set"
                if fragment.is_command
                else "a data set without a command"
            )
        if self.in_message and fragment.context_id != self._context_id:
            raise BadPdu("another presentation context within a message")
        if fragment.is_command:
            if len(self._encoded_command) + fragment.length > MAX_COMMAND_BYTES:
                raise BadPdu("a command set without end")
        elif self._sink is None:
            self._forwarded_bytes += fragment.length
            if self._forwarded_bytes > MAX_OTHER_DATA_SET:
                raise BadPdu("a data set without end")
        self._context_id = fragment.context_id

    def add(self, fragment: Fragment, part: memoryview, *, last: bool) -> None:
        """Take a part of a fragment. ``last`` : it ends the command set or the data set.

        A part of a C-STORE data set must not change before ``flush``. Raises BadCommand, and
        BadPdu as ``MessageHandler.begin_store`` does.
        """
        if fragment.is_command:
            self._encoded_command += part
            if last:
                self._end_command()
        elif self._sink is not None:
            self._gathered.append(part)
            if last or len(self._gathered) == MAX_GATHERED:
                self.flush()
            if last:
                self._end_store()
        else:
            self._handler.forward(self._context_id, IS_LAST if last else 0, bytes(part))
            if last:
                self._command = None

    def flush(self) -> None:
        """Write the gathered parts: few large writes cost less than many small ones."""
        if self._sink is not None and self._gathered:
            self._sink.write(*self._gathered)
        self._gathered.clear()

    def discard(self) -> None:
        """Abandon the current message: its rest will not arrive."""
        self.flush()  # the first bytes name the series that an instance is missing of
        sink, self._sink, self._command = self._sink, None, None
        self._encoded_command.clear()
        if sink is not None:
            sink.discard()

    def _end_command(self) -> None:
        encoded = bytes(self._encoded_command)
        self._encoded_command.clear()
        command = decode_command(encoded)
        if command.field == C_STORE_RQ:
            self._sink = self._handler.begin_store(command, self._context_id)
            self._command = command
            if not command.has_data_set:
                self._end_store()
            return
        self._forwarded_bytes = 0
        self._handler.forward(self._context_id, IS_COMMAND | IS_LAST, encoded)
        if command.has_data_set:
            self._command = command

    def _end_store(self) -> None:
        sink, command = self._sink, self._command
        self._sink = self._command = None
        if sink is not None and command is not None:
            self._handler.answer_store(command, self._context_id, sink.finish())

"""Messages from fragments (PS3.7 6.3.1, PS3.8 Annex E): a C-STORE's data set is streamed."""

from typing import Protocol

from storescp.association.command import C_STORE_RQ, Command, decode_command
from storescp.association.pdu import IS_COMMAND, IS_LAST, BadPdu, Fragment
from storescp.status import Refusal

MAX_COMMAND_BYTES = 64 * 1024
MAX_OTHER_DATA_SET = 4 * 1024 * 1024
MAX_GATHERED = 256
"""Parts for one call of the system, which takes 1024 (IOV_MAX)."""


class Sink(Protocol):
    """Where the data set of one C-STORE goes."""

    def write(self, *parts: bytes | memoryview) -> None:
        """Append; they may change after the call."""

    def finish(self) -> Refusal | None:
        """All is there; None is success."""

    def discard(self) -> None:
        """It will not come to an end."""


class Service(Protocol):
    """What is done with messages."""

    def begin(self, command: Command, context_id: int) -> Sink:
        """A C-STORE-RQ has come; raises BadPdu where there is no such context."""

    def answer(self, command: Command, context_id: int, refusal: Refusal | None) -> None:
        """Its data set has come and is stored or refused."""

    def pass_on(self, context_id: int, control: int, part: bytes) -> None:
        """A part of any other message, with its message control header."""


class Assembly:
    """The message that is coming in on one association."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._context_id = 0
        self._encoded_command = bytearray()
        self._command: Command | None = None  # while its data set is coming
        self._sink: Sink | None = None  # of a C-STORE
        self._gathered: list[memoryview] = []  # for it
        self._passed_on = 0

    @property
    def begun(self) -> bool:
        """Whether more of a message must come."""
        return self._command is not None or bool(self._encoded_command)

    def check(self, fragment: Fragment) -> None:
        """Whether this fragment may come now; raises BadPdu."""
        if fragment.is_command == (self._command is not None):
            raise BadPdu(
                "a command within a data set"
                if fragment.is_command
                else "a data set without a command"
            )
        if self.begun and fragment.context_id != self._context_id:
            raise BadPdu("another presentation context within a message")
        if fragment.is_command:
            if len(self._encoded_command) + fragment.length > MAX_COMMAND_BYTES:
                raise BadPdu("a command set without end")
        elif self._sink is None:
            self._passed_on += fragment.length
            if self._passed_on > MAX_OTHER_DATA_SET:
                raise BadPdu("a data set without end")
        self._context_id = fragment.context_id

    def add(self, fragment: Fragment, part: memoryview, *, last: bool) -> None:
        """Take a part of a fragment; ``last`` : it ends the command or the data set.

        A part of a C-STORE's data set must not change before ``flush``. Raises BadCommand, and
        BadPdu as ``Service.begin`` does.
        """
        if fragment.is_command:
            self._encoded_command += part
            if last:
                self._end_of_command()
        elif self._sink is not None:
            self._gathered.append(part)
            if last or len(self._gathered) == MAX_GATHERED:
                self.flush()
            if last:
                self._end_of_store()
        else:
            self._service.pass_on(self._context_id, IS_LAST if last else 0, bytes(part))
            if last:
                self._command = None

    def flush(self) -> None:
        """Hand on what was gathered: the fewer and larger the writes, the less they cost."""
        if self._sink is not None and self._gathered:
            self._sink.write(*self._gathered)
        self._gathered.clear()

    def discard(self) -> None:
        """The rest will not come: leave nothing behind."""
        self._gathered.clear()
        sink, self._sink, self._command = self._sink, None, None
        self._encoded_command.clear()
        if sink is not None:
            sink.discard()

    def _end_of_command(self) -> None:
        encoded = bytes(self._encoded_command)
        self._encoded_command.clear()
        command = decode_command(encoded)
        if command.field == C_STORE_RQ:
            self._sink = self._service.begin(command, self._context_id)
            self._command = command
            if not command.has_data_set:
                self._end_of_store()
            return
        self._passed_on = 0
        self._service.pass_on(self._context_id, IS_COMMAND | IS_LAST, encoded)
        if command.has_data_set:
            self._command = command

    def _end_of_store(self) -> None:
        sink, command = self._sink, self._command
        self._sink = self._command = None
        if sink is not None and command is not None:
            self._service.answer(command, self._context_id, sink.finish())

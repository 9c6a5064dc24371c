"""A PACS by DIMSE that a test shapes byte by byte, to break the protocol or its timing.

``Manner`` has one function for each event of an association. The defaults accept everything,
answer C-FIND with what is stored, and report Storage Commitment after the N-ACTION response.
"""

import socket
import struct
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from pydicom import Dataset
from pynetdicom.sop_class import StorageCommitmentPushModel

from tests.support.odd_messages import (
    ABORT,
    ABSTRACT_SYNTAX,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    C_ECHO,
    C_FIND,
    C_STORE,
    HEAD,
    IMPLICIT,
    N_ACTION,
    N_EVENT_REPORT,
    NO_DATA_SET,
    P_DATA,
    PRESENTATION_CONTEXT,
    RELEASE_RP,
    RELEASE_RQ,
    RESPONSE,
    Message,
    decode,
    items,
    pdu,
    report,
    response,
)
from tests.support.raw_pdu import COMMAND, LAST
from tests.support.raw_request import item


class Ended(Exception):
    """The association has ended."""


class Conversation:
    """One connection of a requestor. Everything is Implicit VR Little Endian."""

    def __init__(self, pacs: "OddPacs", connection: socket.socket) -> None:
        self.pacs = pacs
        self.connection = connection
        self.request = b""
        self.contexts: dict[str, int] = {}

    def run(self) -> None:
        """Serve the connection until it ends."""
        manner = self.pacs.manner
        manner.connect(self)
        kind, self.request = self.receive()
        assert kind == ASSOCIATE_RQ
        self.contexts = {
            dict(items(body[4:]))[ABSTRACT_SYNTAX].decode(): body[0]
            for kind, body in items(self.request[HEAD:])
            if kind == PRESENTATION_CONTEXT
        }
        manner.associate(self)
        while True:
            self._serve(self.receive_message())

    def _serve(self, message: Message) -> None:
        manner = self.pacs.manner
        functions = {
            C_STORE: manner.store,
            C_FIND: manner.find,
            C_ECHO: manner.echo,
            N_ACTION: manner.action,
            N_EVENT_REPORT | RESPONSE: manner.reported,
        }
        functions[message.command.CommandField](self, message)

    def receive(self) -> tuple[int, bytes]:
        """Receive a PDU; raises Ended."""
        head = self._read(6)
        kind, length = struct.unpack(">BxL", head)
        return kind, self._read(length)

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            part = self.connection.recv(length - len(data))
            if not part:
                raise Ended
            data += part
        return data

    def receive_message(self) -> Message:
        """Receive a DIMSE message; answer a release, raises Ended after it."""
        command, data, context = b"", b"", 0
        while True:
            kind, body = self.receive()
            if kind == RELEASE_RQ:
                self.pacs.manner.release(self)
                raise Ended
            if kind != P_DATA:
                raise Ended
            while body:
                length, context, control = struct.unpack_from(">LBB", body)
                part, body = body[6 : 4 + length], body[4 + length :]
                if control & COMMAND:
                    command += part
                else:
                    data += part
                if control & LAST:
                    ds = decode(command)
                    if not control & COMMAND or ds.CommandDataSetType == NO_DATA_SET:
                        return Message(context, ds, data)

    def send(self, *parts: bytes) -> None:
        """Send bytes as they are."""
        self.connection.sendall(b"".join(parts))

    def accept(
        self,
        *,
        results: Callable[[str], int] = lambda _: 0,
        syntax: bytes = IMPLICIT,
        max_length: bytes = item(0x51, struct.pack(">L", 16_384)),
        more: bytes = b"",
    ) -> None:
        """Send A-ASSOCIATE-AC; ``results`` : by SOP class (PS3.8 Table 9-18)."""
        answers = b"".join(
            item(0x21, struct.pack(">BxBx", number, results(uid)) + item(0x40, syntax))
            for uid, number in self.contexts.items()
        )
        user = item(0x50, max_length + item(0x52, b"1.2.3") + more)
        application = item(0x10, b"1.2.840.10008.3.1.1.1")
        self.send(pdu(ASSOCIATE_AC, self.request[:HEAD] + application + answers + user))

    def reject(self, result: int, source: int, reason: int) -> None:
        """Send A-ASSOCIATE-RJ and end."""
        self.send(pdu(ASSOCIATE_RJ, bytes((0, result, source, reason))))
        raise Ended

    def abort(self, source: int = 2, reason: int = 0) -> None:
        """Send A-ABORT and end."""
        self.send(pdu(ABORT, bytes((0, 0, source, reason))))
        raise Ended

    def release(self) -> None:
        """Send A-RELEASE-RP."""
        self.send(pdu(RELEASE_RP, bytes(4)))

    def respond(self, message: Message, status: int, data: Dataset | None = None) -> None:
        """Send a response."""
        self.send(response(message, status, data))

    def report(self, request: Dataset, *, failed: Collection[str] = ()) -> None:
        """Send N-EVENT-REPORT for a request of Storage Commitment."""
        context = self.contexts.get(StorageCommitmentPushModel)
        if context is not None:
            self.send(report(context, request, failed=failed))


def _store(conversation: Conversation, request: Message) -> None:
    conversation.pacs.stored.append(str(request.command.AffectedSOPInstanceUID))
    conversation.respond(request, 0x0000)


def _find(conversation: Conversation, request: Message) -> None:
    uid = str(request.data_set.get("SOPInstanceUID", ""))
    if uid in conversation.pacs.stored:
        found = Dataset()
        found.QueryRetrieveLevel, found.SOPInstanceUID = "IMAGE", uid
        conversation.respond(request, 0xFF00, found)
    conversation.respond(request, 0x0000)


def _action(conversation: Conversation, request: Message) -> None:
    conversation.respond(request, 0x0000)
    conversation.report(request.data_set)


Respond = Callable[[Conversation, Message], None]


@dataclass(frozen=True)
class Manner:
    """What a PACS does at each event of an association."""

    connect: Callable[[Conversation], None] = lambda _: None
    associate: Callable[[Conversation], None] = Conversation.accept
    store: Respond = _store
    find: Respond = _find
    action: Respond = _action
    echo: Respond = lambda conversation, request: conversation.respond(request, 0x0000)
    reported: Respond = lambda _conversation, _response: None
    release: Callable[[Conversation], None] = Conversation.release


@dataclass
class OddPacs:
    """A PACS at a local port; ``stored`` : SOP Instance UIDs of the objects that it holds."""

    manner: Manner = field(default_factory=Manner)
    stored: list[str] = field(default_factory=list)
    associations: int = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._connections):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections.append(connection)
                self.associations += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(Ended, OSError):
            Conversation(self, connection).run()
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()

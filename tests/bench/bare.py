"""``python -m tests.bench.bare PORT FOLDER``: the least that a receiver in Python can do.

A peer for ``tests.bench.intake --bare``, not a Storage SCP: it takes whatever a well-meaning
sender sends, one process an association, and for each instance does what cannot be left out:
receive, write, fsync of the file, rename, fsync of the folder, answer. No check, no limit, no
record, no time-out, no log.
"""

import mmap
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

from pynetdicom.acse import APPLICATION_CONTEXT_NAME
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.presentation import negotiate_as_acceptor

from storescp.association.command import decode_command, encode_response
from storescp.association.contexts import supported_contexts
from storescp.association.pdu import (
    IS_COMMAND,
    IS_LAST,
    P_DATA_TF,
    PDU_HEADER,
    PDV_HEADER,
    encode_command,
)
from storescp.part10 import encode_header

MAX_PDU = 131072
BUFFER_BYTES = 2 * 1024 * 1024
"""A command and its instance of 512 x 512 x 16 bit; a larger one is more than this can take."""
RELEASE_RP = b"\x06\0\0\0\0\x04\0\0\0\0"


class Wire:
    """A connection with a buffer: what was read of a message stays in it to its end."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.buffer = memoryview(mmap.mmap(-1, BUFFER_BYTES))
        self.start = self.end = 0

    def take(self, count: int) -> memoryview:
        """The next bytes; EOFError when the sender has gone."""
        while self.end - self.start < count:
            received = self.connection.recv_into(self.buffer[self.end :])
            if not received:
                raise EOFError
            self.end += received
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.start += count
        return self.buffer[self.start - count : self.start]


def accept(wire: Wire) -> None:
    """A-ASSOCIATE: what our Storage SCP accepts, too."""
    header = bytes(wire.take(PDU_HEADER.size))
    request = A_ASSOCIATE_RQ()
    request.decode(header + bytes(wire.take(PDU_HEADER.unpack(header)[1])))
    primitive = request.to_primitive()
    primitive.application_context_name = APPLICATION_CONTEXT_NAME
    proposed = primitive.presentation_context_definition_list
    results, _ = negotiate_as_acceptor(proposed, supported_contexts())
    primitive.presentation_context_definition_results_list = results
    primitive.maximum_length_received = MAX_PDU
    primitive.result = 0
    answer = A_ASSOCIATE_AC()
    answer.from_primitive(primitive)
    wire.connection.sendall(answer.encode())


def serve(connection: socket.socket, part: Path, folder: Path) -> None:
    """One association to its end."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire = Wire(connection)
    accept(wire)
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    encoded, data_set = b"", []
    while True:
        kind, _ = PDU_HEADER.unpack(wire.take(PDU_HEADER.size))
        if kind != P_DATA_TF:
            connection.sendall(RELEASE_RP)
            return
        length, context_id, control = PDV_HEADER.unpack(wire.take(PDV_HEADER.size))
        content = wire.take(length - 2)
        if control & IS_COMMAND:
            encoded += bytes(content)
            continue
        data_set.append(content)
        if control & IS_LAST:
            command = decode_command(encoded)
            uids = command.sop_class_uid, command.sop_instance_uid, "1.2.840.10008.1.2.1"
            file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
            os.writev(file, [encode_header(*uids, "BENCH"), *data_set])
            os.fsync(file)
            os.rename(part, folder / f"{command.sop_instance_uid}.dcm")
            os.close(file)
            os.fsync(descriptor)
            response = encode_response(command, 0)
            for pdu in encode_command(response, context_id, max_pdu_length=0):
                connection.sendall(pdu)
            encoded, data_set = b"", []
            wire.start = wire.end = 0


def main(port: int, folder: Path) -> None:
    """Serve until it is killed."""
    incoming = folder / "incoming"
    incoming.mkdir()
    listening = socket.create_server(("127.0.0.1", port), backlog=128)
    number = 0
    while True:
        connection, _ = listening.accept()
        number += 1
        with suppress(ChildProcessError):  # their CPU counts once they are waited for
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if os.fork() == 0:
            try:
                serve(connection, incoming / f"{number}.part", folder / str(number))
            finally:
                os._exit(0)
        connection.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))

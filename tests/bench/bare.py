"""``python -m tests.bench.bare PORT FOLDER``: a minimal receiver, for ``intake --bare``.

This is not a Storage SCP. It accepts whatever a well-behaved sender sends, with one process per
association, and does only what is indispensable for an instance: receive, write, fsync the
file, rename, fsync the folder, respond. It has no checks, limits, database, timeouts or logs.
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

from common.spool.part10 import encode_header
from storescp.association.command import decode_command, encode_response
from storescp.association.pdu import (
    IS_COMMAND,
    IS_LAST,
    P_DATA_TF,
    PDU_HEADER,
    PDV_HEADER,
    encode_command,
)
from storescp.contexts import supported_contexts

MAX_PDU = 131072
BUFFER_BYTES = 2 * 1024 * 1024
"""Enough for a command and its instance of 512 × 512 × 16 bit; larger ones fail."""
RELEASE_RP = b"\x06\0\0\0\0\x04\0\0\0\0"


class BufferedConnection:
    """A connection with a buffer that keeps everything read of the current message."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.buffer = memoryview(mmap.mmap(-1, BUFFER_BYTES))
        self.start = self.end = 0

    def read(self, count: int) -> memoryview:
        """Return the next bytes; raise EOFError if the sender has closed the connection."""
        while self.end - self.start < count:
            received = self.socket.recv_into(self.buffer[self.end :])
            if not received:
                raise EOFError
            self.end += received
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.start += count
        return self.buffer[self.start - count : self.start]


def accept(connection: BufferedConnection) -> None:
    """Negotiate the association; accept the contexts that our Storage SCP accepts."""
    header = bytes(connection.read(PDU_HEADER.size))
    request = A_ASSOCIATE_RQ()
    request.decode(header + bytes(connection.read(PDU_HEADER.unpack(header)[1])))
    primitive = request.to_primitive()
    primitive.application_context_name = APPLICATION_CONTEXT_NAME
    proposed = primitive.presentation_context_definition_list
    results, _ = negotiate_as_acceptor(proposed, supported_contexts())
    primitive.presentation_context_definition_results_list = results
    primitive.maximum_length_received = MAX_PDU
    primitive.result = 0
    answer = A_ASSOCIATE_AC()
    answer.from_primitive(primitive)
    connection.socket.sendall(answer.encode())


def serve(sock: socket.socket, part: Path, folder: Path) -> None:
    """Serve one association until its release."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = BufferedConnection(sock)
    accept(connection)
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    encoded, data_set = b"", []
    while True:
        kind, _ = PDU_HEADER.unpack(connection.read(PDU_HEADER.size))
        if kind != P_DATA_TF:
            sock.sendall(RELEASE_RP)
            return
        length, context_id, control = PDV_HEADER.unpack(connection.read(PDV_HEADER.size))
        content = connection.read(length - 2)
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
                sock.sendall(pdu)
            encoded, data_set = b"", []
            connection.start = connection.end = 0


def main(port: int, folder: Path) -> None:
    """Serve until the process is killed."""
    incoming = folder / "incoming"
    incoming.mkdir()
    listening = socket.create_server(("127.0.0.1", port), backlog=128)
    number = 0
    while True:
        sock, _ = listening.accept()
        number += 1
        with suppress(ChildProcessError):  # CPU time of children counts only after wait
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if os.fork() == 0:
            try:
                serve(sock, incoming / f"{number}.part", folder / str(number))
            finally:
                os._exit(0)
        sock.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))

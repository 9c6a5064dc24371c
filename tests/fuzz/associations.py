"""A server on a real socket: negotiation, PDUs, messages and data sets with faults."""

import random
import socket
from contextlib import suppress
from pathlib import Path

from common.spool.layout import INCOMING
from common.spool.part10 import read_header
from tests.fuzz.mutate import mutate
from tests.fuzz.targets import check_spool
from tests.support.ct_factory import ct_instance, encode
from tests.support.raw_pdu import (
    COMMAND,
    DATA,
    ECHO,
    LAST,
    RELEASE,
    association_request,
    p_data,
    pdv,
    store,
)
from tests.support.servers import wait_for
from tests.support.storage_scp import StorageScpFixture, associated

ANSWER_SECONDS = 0.02
A_ASSOCIATE_AC, A_ABORT = 2, 7


class Associations:
    """Associations to a Storage SCP in this process, with ``StreamingDUL``."""

    name = "associations"

    def __init__(self, folder: Path) -> None:
        self._scp = StorageScpFixture(folder / "spool", stall_seconds=1, idle_seconds=2)
        self._scp.start()
        self._request = association_request(self._scp)
        self._encoded = encode(ct_instance(size=4, SOPInstanceUID="1.2.3.4"))
        command = p_data(pdv(1, COMMAND | LAST, store("1.2.3.4")))
        cut = len(self._encoded) // 2
        self._corpus = [
            command + p_data(pdv(1, DATA | LAST, self._encoded)),
            command
            + p_data(pdv(1, DATA, self._encoded[:cut]))
            + p_data(pdv(1, LAST, self._encoded[cut:]))
            + RELEASE,
            p_data(pdv(3, COMMAND | LAST, ECHO)) * 2 + RELEASE,
        ]

    def feed(self, rng: random.Random) -> None:
        negotiation = rng.random() < 0.3
        request = mutate(rng, [self._request]) if negotiation else self._request
        with (
            socket.create_connection(("127.0.0.1", self._scp.port), timeout=10) as connection,
            suppress(OSError),
        ):
            connection.sendall(request)
            connection.settimeout(ANSWER_SECONDS if negotiation else 5)
            answer = connection.recv(4096)
            if answer[:1] == bytes((A_ASSOCIATE_AC,)):
                # Complete messages with a fault in any part.
                connection.sendall(mutate(rng, self._corpus))
                connection.settimeout(ANSWER_SECONDS)
                while connection.recv(4096):
                    pass

    def end(self) -> None:
        scp = self._scp
        try:

            def all_ended() -> bool:
                scp.server.tick()
                incoming = list((scp.settings.spool_dir / INCOMING).iterdir())
                return not scp.associations.count() and not incoming

            wait_for(all_ended, "all associations to end", seconds=30)
            check_spool(scp.settings.spool_dir)
            for path in scp.files():
                read_header(path)
            with associated(scp) as after:
                assert after.is_established, "no association is served any more"
        finally:
            scp.stop()

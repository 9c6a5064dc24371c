"""The real server on a real socket: negotiation, PDUs, messages and data sets with faults."""

import random
import socket
from contextlib import suppress
from pathlib import Path

from db.spool import INCOMING
from storescp.part10 import read_header
from tests.ct_factory import ct_instance, encode
from tests.fuzz.mutate import mutate
from tests.fuzz.targets import check_spool
from tests.integration.door import Door, associated
from tests.integration.rude import COMMAND, DATA, ECHO, LAST, RELEASE, p_data, pdv, store
from tests.integration.test_storage_server_hostile import association_request
from tests.servers import wait_for

ANSWER_SECONDS = 0.02
A_ASSOCIATE_AC, A_ABORT = 2, 7


class Associations:
    """Associations to a Storage SCP in this process, by the fast path."""

    name = "associations"

    def __init__(self, folder: Path) -> None:
        self._door = Door(folder / "spool", stall_seconds=1, idle_seconds=2)
        self._door.start()
        self._request = association_request(self._door)
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
            socket.create_connection(("127.0.0.1", self._door.port), timeout=10) as connection,
            suppress(OSError),
        ):
            connection.sendall(request)
            connection.settimeout(ANSWER_SECONDS if negotiation else 5)
            answer = connection.recv(4096)
            if answer[:1] == bytes((A_ASSOCIATE_AC,)):
                # Whole messages of which one part is changed, or changed from the first byte.
                connection.sendall(mutate(rng, self._corpus))
                connection.settimeout(ANSWER_SECONDS)
                while connection.recv(4096):
                    pass

    def end(self) -> None:
        door = self._door
        try:

            def all_gone() -> bool:
                door.server.tick()
                incoming = list((door.settings.spool_dir / INCOMING).iterdir())
                return not door.arrivals.open_associations() and not incoming

            wait_for(all_gone, "all associations to end", seconds=30)
            check_spool(door.settings.spool_dir)
            for path in door.files():
                read_header(path)
            with associated(door) as after:
                assert after.is_established, "nobody is served any more"
        finally:
            door.stop()

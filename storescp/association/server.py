"""The Storage SCP as an Application Entity on one address."""

import socket
import time
from typing import Any

from pynetdicom import AE, _config, evt
from pynetdicom.transport import RequestHandler

from common.dicomnet.commitment import handle_report
from common.logging import get_logger
from common.settings.storescp import StoreScpSettings
from common.spool.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from common.spool.writer import SpoolWriter
from common.tls import server_context
from storescp.association import streaming_dul
from storescp.association.dimse_handlers import DimseHandlers
from storescp.association.lifecycle import AssociationLifecycle
from storescp.association.listener import Listener
from storescp.association.request_handler import request_handler
from storescp.commitment.report_handler import CommitmentReportHandler
from storescp.commitment.reporter import CommitmentReporter
from storescp.contexts import supported_contexts
from storescp.registration.associations import AssociationRegistry
from storescp.store.store_operation import StorageService

MAX_PDU_BYTES = 128 * 1024
NO_LIMIT = 1_000_000  # AssociationRegistry has the limit; pynetdicom also counts ending threads
SHUTDOWN_SECONDS = 7.0  # the whole shutdown must fit into the 10 s that Docker allows

log = get_logger(__name__)


class StorageServer:
    """One thread an association. Connections come by ``take``, possibly from another process.

    ``report_handler`` : records reports of Storage Commitment about delivered objects.
    ``streaming`` : receive C-STORE by ``StreamingDUL``; by default, where it supports the
    installed pynetdicom.
    """

    def __init__(
        self,
        settings: StoreScpSettings,
        writer: SpoolWriter,
        associations: AssociationRegistry,
        *,
        report_handler: CommitmentReportHandler | None = None,
        streaming: bool | None = None,
    ) -> None:
        """Raises OSError when the TLS files cannot be used."""
        self._settings = settings
        self._report_handler = report_handler
        self._streaming = streaming_dul.is_supported() if streaming is None else streaming
        self._reporter = CommitmentReporter(settings)
        self._lifecycle = AssociationLifecycle(settings, associations)
        self._handlers = DimseHandlers(
            StorageService(writer, settings, associations), self._reporter
        )
        self._listener: Listener | None = None
        _config.LOG_HANDLER_LEVEL = "none"  # its handlers format every PDU to log it
        self._ae = AE(settings.ae_title)
        self._ae.maximum_pdu_size = MAX_PDU_BYTES
        self._ae.maximum_associations = NO_LIMIT
        self._ae.network_timeout = settings.idle_seconds
        self._ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        self._ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self._tls = (
            None
            if settings.tls_cert is None
            else server_context(settings.tls, client_certificate=settings.must_show_certificate)
        )

    def bind(self) -> None:
        """Bind to the address without listening; raises OSError."""
        self._listener = self._ae.make_server(
            (self._settings.host, self._settings.port),
            contexts=supported_contexts(),
            evt_handlers=self._event_handlers(),
            server_class=Listener,
            request_handler=self._request_handler(),
            ssl_context=self._tls,
        )
        self._listener.limit_connections(
            self._settings.max_associations, self._settings.max_associations_per_peer
        )
        self._listener.socket.settimeout(None)

    def listen(self) -> None:
        """Open the port; raises OSError when it is in use."""
        self._bound.listen()

    def accept(self) -> tuple[socket.socket, Any]:
        """Wait for a connection; raises OSError, also after ``close_port``."""
        connection, address = self._bound.socket.accept()
        return connection, address

    def start(self) -> None:
        """Start to send reports of Storage Commitment."""
        self._reporter.start()

    def take(self, connection: socket.socket, address: Any) -> None:
        """Serve a connection in its own thread, or close it when there are too many."""
        self._bound.take(connection, address)

    def tick(self) -> list[str]:
        """Close associations whose thread has ended without an event; call periodically.

        Returns the addresses of the connections that were admitted or have ended since.
        """
        self._bound.service_actions()
        self._lifecycle.close_dead()
        return self._bound.settled(self._lifecycle.connections())

    def close_port(self) -> None:
        """Stop accepting, in all processes."""
        self._bound.server_close()

    def leave_port(self) -> None:
        """Close this process's copy of the listening socket; other processes still accept."""
        self._bound.socket.close()

    def stop(self) -> None:
        """Wait for open associations up to ``SHUTDOWN_SECONDS``, then abort them."""
        self._reporter.stop()
        deadline = time.monotonic() + SHUTDOWN_SECONDS
        while self._lifecycle.is_open() and time.monotonic() < deadline:
            time.sleep(0.05)
            self.tick()
        self._lifecycle.abort_open(deadline)

    @property
    def _bound(self) -> Listener:
        if self._listener is None:
            raise RuntimeError("not bound")
        return self._listener

    def _event_handlers(self) -> list[tuple[Any, ...]]:
        handlers: list[tuple[Any, ...]] = [
            (evt.EVT_REQUESTED, self._lifecycle.handle_requested),
            (evt.EVT_ACCEPTED, self._lifecycle.handle_accepted),
            (evt.EVT_RELEASED, self._lifecycle.handle_ended, [True]),
            (evt.EVT_ABORTED, self._lifecycle.handle_ended, [False]),
            (evt.EVT_C_STORE, self._handlers.handle_c_store),
            (evt.EVT_DIMSE_RECV, self._handlers.handle_message),
            (evt.EVT_N_ACTION, self._handlers.handle_n_action),
        ]
        if self._report_handler is not None:
            record = self._report_handler.record
            handlers.append((evt.EVT_N_EVENT_REPORT, handle_report, [record]))
        return handlers

    def _request_handler(self) -> Any:
        if not self._streaming:
            log.warning("fast_path_off", note="this version of pynetdicom is not known")
            return RequestHandler
        return request_handler(
            self._handlers.begin_store,
            max_pdu_bytes=MAX_PDU_BYTES,
            stall_seconds=self._settings.stall_seconds,
            min_kb_per_second=self._settings.min_kb_per_second,
        )

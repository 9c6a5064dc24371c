"""A checkpoint for pynetdicom's reactor that holds while a request waits for its response.

A requestor in pynetdicom 3.0.4 pauses its reactor thread before it sends: it clears an event
and checks whether ``_is_paused`` is set. The reactor sets that flag *before* it waits for the
event. A reactor that has just been released, and is then delayed by a busy machine, therefore
still counts as paused. It continues after the request is sent, takes the response off the queue
and drops it, and the sender waits for its whole DIMSE timeout (seen about once in 500 C-STOREs
with three busy processes on two cores).

The same flag is set and cleared by the thread that answers an N-EVENT-REPORT of the peer, as
in Storage Commitment. If it clears the flag after the reactor has set it, the reactor waits for
the event, and the requestor waits for the flag, without end. With the checkpoint of this module
the flag has no purpose: it always reads as set.

That thread also sends: its response could end up between two fragments of our own message, or
after our A-RELEASE-RQ. A lock keeps messages whole. A response that the state of the
association no longer allows (PS3.8 9.2.3, Table 9-10) is dropped; pynetdicom would end its
network thread by an exception ("Evt9 in Sta7").
"""

import threading
from typing import Any

from pydicom import Dataset
from pynetdicom import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dul import DULServiceProvider

POLL_SECONDS = 0.1
# PS3.8 Tables 9-2 to 9-10: P-DATA request primitive; states that accept it.
SEND_P_DATA = "Evt9"
MAY_SEND_P_DATA = ("Sta6", "Sta8")


class Checkpoint(threading.Event):
    """An event whose ``clear`` returns when the reactor is known to wait, or has ended."""

    def __init__(self, reactor: threading.Thread) -> None:
        super().__init__()
        self._reactor = reactor
        self._waiting = threading.Event()
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the checkpoint is open. Called by the reactor only, once a cycle."""
        while True:
            self._waiting.set()
            passed = super().wait(timeout)
            self._waiting.clear()
            # Cleared in between: the thread that cleared it has seen this one wait.
            if self.is_set() or not passed:
                return passed

    def clear(self) -> None:
        """Close the checkpoint. The reactor (at a timeout) does not wait for itself."""
        super().clear()
        if threading.current_thread() is self._reactor:
            return
        while not self._waiting.wait(POLL_SECONDS) and self._reactor.is_alive():
            pass


class PatchedAssociation(Association):  # type: ignore[misc] # pynetdicom is untyped
    """An association that ``Checkpoint`` pauses, and not the flag of pynetdicom.

    ``last_response`` : the message that pynetdicom took for the response to the last request.
    """

    last_response: Any = None

    def _check_received_status(self, response: Any) -> Dataset:
        self.last_response = response
        return super()._check_received_status(response)

    @property
    def _is_paused(self) -> bool:
        return True

    @_is_paused.setter
    def _is_paused(self, _: bool) -> None:
        pass


class _AnyLengthProvider(DIMSEServiceProvider):  # type: ignore[misc]
    """Sends PDUs of any length to a peer that has sent no maximum (PS3.8 D.1)."""

    @property
    def maximum_pdu_size(self) -> int:
        return super().maximum_pdu_size or 0


def patch_reactor_checkpoint(assoc: Association) -> None:
    """Replace checkpoint, flag and sending of a newly established association."""
    assoc._reactor_checkpoint = Checkpoint(assoc)
    assoc.__class__ = PatchedAssociation
    assoc.dimse.__class__ = _AnyLengthProvider
    _send_whole_messages(assoc)
    _drop_late_messages(assoc.dul)


def _send_whole_messages(assoc: Association) -> None:
    """Let one thread at a time send a DIMSE message."""
    send, lock = assoc.dimse.send_msg, threading.Lock()

    def send_msg(*args: Any) -> None:
        with lock:
            send(*args)

    assoc.dimse.send_msg = send_msg


def _drop_late_messages(dul: DULServiceProvider) -> None:
    """Drop P-DATA of ours that comes after the end of the association."""
    machine = dul.state_machine
    do_action = machine.do_action

    def do_allowed(event: str) -> None:
        if event == SEND_P_DATA and machine.current_state not in MAY_SEND_P_DATA:
            dul.to_provider_queue.get(block=False)
        else:
            do_action(event)

    machine.do_action = do_allowed

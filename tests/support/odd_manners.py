"""Odd manners of PACS, each with what becomes of an object that is delivered to it."""

import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydicom import Dataset

from tests.support.odd_messages import (
    ABORT,
    RELEASE_RQ,
    RESPONSE,
    Message,
    pdu,
    report,
    response,
)
from tests.support.odd_pacs import Conversation, Ended, Manner
from tests.support.raw_request import item
from tests.support.stow_server import HttpAnswer

Fate = Literal["delivered", "transient", "blocked", "refused"]
"""``blocked`` : transient, and the destination is paused."""

FIND_RSP = 0x0020 | RESPONSE
JPEG = b"1.2.840.10008.1.2.4.50"


@dataclass(frozen=True)
class Odd:
    """A manner and the fate of an object."""

    manner: Manner
    fate: Fate


def hang(*_: object) -> None:
    """Wait until the end of the test."""
    threading.Event().wait()


def end(*_: object) -> None:
    """Close the connection."""
    raise Ended


def rejecting(result: int, source: int, reason: int) -> Odd:
    return Odd(Manner(associate=lambda pacs: pacs.reject(result, source, reason)), "blocked")


def sending(data: bytes, fate: Fate = "blocked") -> Odd:
    """Answer an association request by any bytes, and close."""

    def associate(pacs: Conversation) -> None:
        pacs.send(data)
        raise Ended

    return Odd(Manner(associate=associate), fate)


def accepting(fate: Fate, **options: object) -> Odd:
    return Odd(Manner(associate=lambda pacs: pacs.accept(**options)), fate)  # type: ignore[arg-type]


def answering(status: int, fate: Fate) -> Odd:
    return Odd(Manner(store=lambda pacs, request: pacs.respond(request, status)), fate)


def storing(store: Callable[[Conversation, Message], None], fate: Fate) -> Odd:
    return Odd(Manner(store=store), fate)


def keep(pacs: Conversation, request: Message) -> None:
    pacs.pacs.stored.append(str(request.command.AffectedSOPInstanceUID))


def keep_and_answer_twice(pacs: Conversation, request: Message) -> None:
    keep(pacs, request)
    pacs.send(response(request, 0), response(request, 0))


def commit(act: Callable[[Conversation, Message], None], fate: Fate) -> Odd:
    return Odd(Manner(action=act), fate)


def find_another(pacs: Conversation, request: Message) -> None:
    found = Dataset()
    found.QueryRetrieveLevel, found.SOPInstanceUID = "IMAGE", "1.2.3.4"
    pacs.respond(request, 0xFF00, found)
    pacs.respond(request, 0)


def find_without_end(pacs: Conversation, request: Message) -> None:
    while True:
        pacs.respond(request, 0xFF00, Dataset())


def report_failed(pacs: Conversation, request: Message) -> None:
    pacs.respond(request, 0)
    wanted = request.data_set
    uids = [one.ReferencedSOPInstanceUID for one in wanted.ReferencedSOPSequence]
    pacs.report(wanted, failed=uids)


def report_nothing(pacs: Conversation, request: Message) -> None:
    pacs.respond(request, 0)
    wanted = request.data_set
    wanted.ReferencedSOPSequence = []
    pacs.report(wanted)


def report_another(pacs: Conversation, request: Message) -> None:
    pacs.respond(request, 0)
    wanted = request.data_set
    wanted.TransactionUID = "2.25.1"
    pacs.report(wanted)


def report_without_type(pacs: Conversation, request: Message) -> None:
    pacs.send(report(request.context, request.data_set, EventTypeID=None))
    pacs.respond(request, 0)


def collide(pacs: Conversation) -> None:
    """Send A-RELEASE-RQ, too (PS3.8 7.2.2.7)."""
    pacs.send(pdu(RELEASE_RQ, bytes(4)))
    pacs.receive()
    pacs.release()


def unlike(request: Message, **more: object) -> bytes:
    return response(request, 0, None, **more)


DIMSE: dict[str, Odd] = {
    "usual": Odd(Manner(), "delivered"),
    "rejects 1/1/1": rejecting(1, 1, 1),
    "rejects 1/1/2": rejecting(1, 1, 2),
    "rejects 1/1/3": rejecting(1, 1, 3),
    "rejects 1/1/7": rejecting(1, 1, 7),
    "rejects 1/2/2": rejecting(1, 2, 2),
    "rejects 1/3/1": rejecting(1, 3, 1),
    "rejects 1/3/2": rejecting(1, 3, 2),
    "rejects 2/1/1": rejecting(2, 1, 1),
    "rejects 2/3/1": rejecting(2, 3, 1),
    "rejects 2/3/2": rejecting(2, 3, 2),
    "rejects by unknown numbers": rejecting(9, 9, 9),
    "closes at connect": Odd(Manner(connect=end), "blocked"),
    "closes at the request": Odd(Manner(associate=end), "blocked"),
    "never answers the request": Odd(Manner(associate=hang), "blocked"),
    "aborts at the request": sending(pdu(ABORT, bytes((0, 0, 2, 1)))),
    "answers by HTTP": sending(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "answers by half a PDU": sending(pdu(2, bytes(100))[:50]),
    "answers by an unknown PDU": sending(pdu(0x99, bytes(4))),
    "answers by an empty acceptance": sending(pdu(2, b"")),
    "accepts no context": accepting("refused", results=lambda _: 3),
    "accepts in a syntax that was not offered": accepting("refused", syntax=JPEG),
    "has no maximum length": accepting("delivered", max_length=b""),
    "has maximum length 0": accepting("delivered", max_length=item(0x51, struct.pack(">L", 0))),
    "has maximum length 128": accepting(
        "delivered", max_length=item(0x51, struct.pack(">L", 128))
    ),
    "has unknown user items": accepting("delivered", more=item(0x5E, b"odd")),
    "answers success": answering(0x0000, "delivered"),
    "answers a warning": answering(0xB007, "delivered"),
    "answers duplicate": answering(0x0111, "delivered"),
    "answers out of resources": answering(0xA700, "transient"),
    "answers processing failure": answering(0x0110, "transient"),
    "answers does not match": answering(0xA900, "refused"),
    "answers cannot understand": answering(0xC000, "refused"),
    "answers not authorized": answering(0x0124, "refused"),
    "answers an unknown status": answering(0x7777, "refused"),
    "closes at C-STORE": storing(end, "transient"),
    "aborts at C-STORE": storing(lambda pacs, _: pacs.abort(), "transient"),
    "never answers C-STORE": storing(hang, "transient"),
    "answers C-STORE without a status": storing(
        lambda pacs, request: pacs.send(unlike(request, Status=None)), "transient"
    ),
    "answers C-STORE by C-FIND": storing(
        lambda pacs, request: pacs.send(unlike(request, CommandField=FIND_RSP)), "transient"
    ),
    "answers C-STORE by half a PDU": storing(
        lambda pacs, request: pacs.send(response(request, 0)[:20]), "transient"
    ),
    "answers C-STORE twice": storing(keep_and_answer_twice, "delivered"),
    "asks for release at C-STORE": storing(
        lambda pacs, _: pacs.send(pdu(RELEASE_RQ, bytes(4))), "transient"
    ),
    "lists another instance": Odd(Manner(find=find_another), "delivered"),
    "fails C-FIND": Odd(
        Manner(find=lambda pacs, request: pacs.respond(request, 0xA700)), "delivered"
    ),
    "aborts at C-FIND": Odd(Manner(find=lambda pacs, _: pacs.abort()), "delivered"),
    "never ends C-FIND": Odd(Manner(find=find_without_end), "transient"),
    "refuses N-ACTION": commit(lambda pacs, one: pacs.respond(one, 0x0110), "delivered"),
    "aborts at N-ACTION": commit(lambda pacs, _: pacs.abort(), "delivered"),
    "commits nothing": commit(report_failed, "refused"),
    "reports on nothing": commit(report_nothing, "delivered"),
    "reports on another transaction": commit(report_another, "delivered"),
    "reports without a type": commit(report_without_type, "delivered"),
    "closes at the release": Odd(Manner(release=end), "delivered"),
    "aborts at the release": Odd(Manner(release=lambda pacs: pacs.abort()), "delivered"),
    "asks for release, too": Odd(Manner(release=collide), "delivered"),
}


@dataclass(frozen=True)
class OddAnswer:
    """An answer to STOW-RS and the fate of the object, whose UID is ``{uid}`` in the body."""

    fate: Fate
    status: int = 200
    media_type: str = "application/dicom+json"
    body: str = ""
    raw: bytes | None = None

    def about(self, uid: str) -> HttpAnswer:
        """Return the answer for an object."""
        return HttpAnswer(
            self.status, self.media_type, self.body.replace("{uid}", uid), raw=self.raw
        )


def _sequence(tag: str, uid: str = "{uid}", reason: object = None) -> str:
    failure = "" if reason is None else f', "00081197": {{"Value": [{reason}]}}'
    item = f'{{"00081155": {{"vr": "UI", "Value": ["{uid}"]}}{failure}}}'
    return f'{{"{tag}": {{"vr": "SQ", "Value": [{item}]}}}}'


def _xml(tag: str, uid: str = "{uid}") -> str:
    return (
        f'<NativeDicomModel><DicomAttribute tag="{tag}" vr="SQ"><Item number="1">'
        f'<DicomAttribute tag="00081155" vr="UI"><Value number="1">{uid}</Value>'
        "</DicomAttribute></Item></DicomAttribute></NativeDicomModel>"
    )


STORED, FAILED = "00081199", "00081198"
XML = "application/dicom+xml"
DICOMWEB: dict[str, OddAnswer] = {
    "stores, JSON": OddAnswer("delivered", body=_sequence(STORED)),
    "stores, JSON in a list": OddAnswer("delivered", body=f"[{_sequence(STORED)}]"),
    "stores, XML": OddAnswer("delivered", media_type=XML, body=_xml(STORED)),
    "fails, XML": OddAnswer("transient", 202, XML, _xml(FAILED)),
    "fails without a reason": OddAnswer("transient", 202, body=_sequence(FAILED)),
    "fails, a text as reason": OddAnswer(
        "transient", 409, body=_sequence(FAILED, reason='"disk full"')
    ),
    "fails, out of resources": OddAnswer(
        "transient", 409, body=_sequence(FAILED, reason=0xA700)
    ),
    "fails, cannot understand": OddAnswer(
        "refused", 409, body=_sequence(FAILED, reason=0xC000)
    ),
    "names other UIDs": OddAnswer("transient", body=_sequence(STORED, "1.2.3.4")),
    "null": OddAnswer("transient", body='{"00081198": null}'),
    "an empty data set": OddAnswer("transient", body="{}"),
    "an empty body": OddAnswer("transient"),
    "a login page": OddAnswer("transient", media_type="text/html", body="<html>"),
    "a login page as XML": OddAnswer("transient", media_type=XML, body="<html></html>"),
    "a login page as JSON": OddAnswer("transient", body="<html>"),
    "204": OddAnswer("transient", 204),
    "301": OddAnswer("blocked", 301),
    "302 to a login": OddAnswer("blocked", 302),
    "308": OddAnswer("blocked", 308),
    "400": OddAnswer("refused", 400),
    "401": OddAnswer("blocked", 401),
    "403": OddAnswer("blocked", 403),
    "404": OddAnswer("blocked", 404),
    "405": OddAnswer("blocked", 405),
    "408": OddAnswer("blocked", 408),
    "409 without a data set": OddAnswer("transient", 409, "text/plain"),
    "413": OddAnswer("refused", 413),
    "415": OddAnswer("blocked", 415),
    "425": OddAnswer("blocked", 425),
    "429": OddAnswer("blocked", 429),
    "500": OddAnswer("transient", 500),
    "502": OddAnswer("blocked", 502),
    "503": OddAnswer("blocked", 503),
    "no HTTP": OddAnswer("transient", raw=b"\2\0\0\0\0\4"),
    "closes without an answer": OddAnswer("transient", raw=b""),
    "a body that ends early": OddAnswer(
        "transient",
        raw=b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\n"
        b"Content-Length: 1000\r\n\r\n{",
    ),
}

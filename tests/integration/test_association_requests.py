"""Covered: association requests with odd values, other protocols at the DICOM port, and
requests of which nothing is accepted: what is answered and logged, and that nothing remains.
"""

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
import structlog
from pydicom.uid import CTImageStorage, MRImageStorage

from storescp.association.associate_request import (
    MALFORMED,
    OTHER_APPLICATION_CONTEXT,
    PROTOCOL_VERSION,
)
from tests.support.raw_pdu import COMMAND, ECHO, LAST, RELEASE, STREAMING_ONLY, p_data, pdv
from tests.support.raw_request import (
    CT,
    VERIFICATION_CONTEXT,
    Answer,
    context,
    item,
    read_answer,
    request,
    user_information,
)
from tests.support.servers import wait_for
from tests.support.storage_scp import OpenStorageScp, threads_since

pytestmark = [pytest.mark.servers, STREAMING_ONLY]

MR = MRImageStorage.encode()
CT_CLASS = CTImageStorage.encode()
ACCEPTED, NO_ABSTRACT, NO_TRANSFER = 0, 3, 4  # PS3.8 Table 9-18


@pytest.fixture
def log_lines() -> Iterator[list[dict[str, object]]]:
    """The log lines of this process."""
    with structlog.testing.capture_logs() as lines:
        yield lines


def ask(port: int, pdu: bytes, *, echo: bool = True) -> Answer:
    """Send a request; where it is accepted, also C-ECHO and A-RELEASE."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(pdu)
        answer = read_answer(connection)
        if answer.kind == 2 and echo:
            part = pdv(VERIFICATION_CONTEXT, COMMAND | LAST, ECHO)
            connection.sendall(p_data(part))
            assert read_answer(connection).kind == 4
            connection.sendall(RELEASE)
            while (kind := read_answer(connection).kind) == 4:
                pass  # a fragment of the response each
            assert kind == 6
        return answer


ODD_BUT_CLEAR = {
    "NUL-padded titles": request(pad=b"\0"),
    "blank calling title": request(calling=b""),
    "calling title of NUL": request(calling=b"\0" * 16),
    "blank called title": request(called=b""),
    "Latin-1 calling title": request(calling=b"R\xf6ntgen"),
    "Latin-1 called title": request(called=b"R\xf6ntgen"),
    "title with a backslash": request(calling=b"HOSPITAL\\CT"),
    "title with a line feed": request(calling=b"CT1\n"),
    "title of 16 characters": request(calling=b"ABCDEFGHIJKLMNOP"),
    "version of 20 characters": request(user=user_information(version=b"VENDOR_PACS_SENDER_9")),
    "version with NUL": request(user=user_information(version=b"VENDOR\0\0")),
    "Latin-1 version": request(user=user_information(version=b"VENDOR\xae")),
    "empty version": request(user=user_information(version=b"")),
    "no version": request(user=user_information(version=None)),
    "class UID with NUL": request(user=user_information(class_uid=b"1.2.3.4\0")),
    "class UID that is text": request(user=user_information(class_uid=b"Vendor 3.1")),
    "class UID that is too long": request(user=user_information(class_uid=b"1." + b"3" * 70)),
    "no class UID": request(user=user_information(class_uid=None)),
    "no maximum length": request(user=user_information(max_length=None)),
    "maximum length of 2 bytes": request(user=user_information(max_length=b"\x40\0")),
    "no limit": request(user=user_information(max_length=bytes(4))),
    "maximum length 1": request(user=user_information(max_length=struct.pack(">L", 1))),
    "maximum length 7": request(user=user_information(max_length=struct.pack(">L", 7))),
    "largest maximum length": request(user=user_information(max_length=b"\xff" * 4)),
    "no user information": request(user=b""),
    "unknown user item": request(user=user_information(extra=item(0x5A, b"\0zz"))),
    "malformed role selection": request(user=user_information(extra=item(0x54, b"\0\xff1"))),
    "malformed user identity": request(user=user_information(extra=item(0x58, b"\1"))),
    "malformed asynchronous operations": request(user=user_information(extra=item(0x53, b""))),
    "unknown variable item": request(user=user_information() + item(0x60, b"zzzz")),
    "application context with NUL": request(application=b"1.2.840.10008.3.1.1.1\0"),
    "two protocol versions": request(version=3),
}


@pytest.mark.parametrize("case", ODD_BUT_CLEAR)
def test_an_odd_request_that_is_clear_is_accepted(
    case: str, open_storage_scp: OpenStorageScp, log_lines: list[dict[str, object]]
) -> None:
    scp = open_storage_scp()

    answer = ask(scp.port, ODD_BUT_CLEAR[case])

    assert (answer.kind, answer.results) == (2, {1: ACCEPTED, 3: ACCEPTED})
    accepted = next(one for one in log_lines if one["event"] == "association_accepted")
    assert str(accepted["calling_ae_title"]).isascii()
    assert str(accepted["calling_ae_title"]).isprintable()


def test_uids_padded_with_nul_or_space_are_trimmed(open_storage_scp: OpenStorageScp) -> None:
    scp = open_storage_scp()
    padded = context(1, CT_CLASS + b"\0", b"1.2.840.10008.1.2.1 ")

    assert ask(scp.port, request(padded), echo=False).results == {1: ACCEPTED}


REJECTED = {
    "version 2": (request(version=2), PROTOCOL_VERSION),
    "other application context": (request(application=b"1.2.3"), OTHER_APPLICATION_CONTEXT),
    "even context ID": (request(context(2, CT_CLASS, b"1.2")), MALFORMED),
    "context ID twice": (request(CT, CT), MALFORMED),
    "no context": (request(user_information()), MALFORMED),
    "empty context": (request(item(0x20, b"")), MALFORMED),
    "item longer than the PDU": (request(user=item(0x50, b"")[:2] + b"\xff\xff"), MALFORMED),
    "sub-item longer than its item": (request(user=item(0x50, b"\x51\0\0\x09")), MALFORMED),
    "rest of an item": (request(user=user_information() + b"\x60\0"), MALFORMED),
    "short PDU": (struct.pack(">BxL", 1, 20) + bytes(20), MALFORMED),
    "empty PDU": (struct.pack(">BxL", 1, 0), MALFORMED),
}


@pytest.mark.parametrize("case", REJECTED)
def test_a_request_that_cannot_be_understood_is_rejected_with_one_line(
    case: str, open_storage_scp: OpenStorageScp, log_lines: list[dict[str, object]]
) -> None:
    scp = open_storage_scp()
    before = set(threading.enumerate())
    pdu, expected = REJECTED[case]

    answer = ask(scp.port, pdu)

    assert (answer.kind, answer.rejection) == (
        3,
        (expected.result, expected.source, expected.reason),
    )
    wait_for(lambda: not threads_since(before), "all threads to end", seconds=10)
    (line,) = log_lines
    assert (line["event"], line["reason"], line["peer"]) == (
        "association_rejected",
        expected.name,
        "127.0.0.1",
    )


def test_a_blank_title_is_rejected_where_titles_are_listed(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp = open_storage_scp(allowed_calling_aets=("MODALITY",))

    assert ask(scp.port, request(calling=b"")).rejection == (1, 1, 3)
    assert ask(scp.port, request(calling=b"MODALITY\0\0")).kind == 2


NOTHING_ACCEPTABLE = {
    "MR only": (context(1, MR, b"1.2.840.10008.1.2"), NO_ABSTRACT),
    "unknown transfer syntax": (context(1, CT_CLASS, b"1.2.3"), NO_TRANSFER),
    "no transfer syntax": (context(1, CT_CLASS), NO_TRANSFER),
    "no abstract syntax": (context(1, None, b"1.2.840.10008.1.2"), NO_ABSTRACT),
    "no syntax": (context(1, None), NO_ABSTRACT),
    "abstract syntax that is text": (context(1, b"CT", b"1.2.840.10008.1.2"), NO_ABSTRACT),
}


@pytest.mark.parametrize("case", NOTHING_ACCEPTABLE)
def test_a_request_of_which_nothing_is_acceptable_is_answered_closed_and_logged(
    case: str, open_storage_scp: OpenStorageScp, log_lines: list[dict[str, object]]
) -> None:
    scp = open_storage_scp(idle_seconds=1)
    before = set(threading.enumerate())
    offered, reason = NOTHING_ACCEPTABLE[case]

    with socket.create_connection(("127.0.0.1", scp.port), timeout=20) as connection:
        connection.sendall(request(offered))
        assert read_answer(connection).results == {1: reason}
        assert read_answer(connection).kind in (0, 7)  # the peer stays silent

    wait_for(lambda: scp.associations.count() == 0, "the association to be closed", seconds=10)
    wait_for(lambda: not threads_since(before), "all threads to end", seconds=10)
    (line,) = (one for one in log_lines if one["event"] == "no_context_accepted")
    assert line["peer"] == "127.0.0.1"
    assert "CT" in str(line["remedy"])


FOREIGN = {
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), b"\x15\x03"),
    "http": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400 "),
    "unknown": (b"\x00\x01\x02\x03 hello", b""),
}


@pytest.mark.parametrize("protocol", FOREIGN)
def test_a_client_of_another_protocol_is_answered_closed_and_logged(
    protocol: str, open_storage_scp: OpenStorageScp, log_lines: list[dict[str, object]]
) -> None:
    scp = open_storage_scp()
    before = set(threading.enumerate())
    sent, answer = FOREIGN[protocol]

    with socket.create_connection(("127.0.0.1", scp.port), timeout=10) as connection:
        connection.sendall(sent)
        received = b"".join(iter(lambda: connection.recv(4096), b""))

    assert received.startswith(answer)
    wait_for(lambda: not threads_since(before), "all threads to end", seconds=10)
    (line,) = log_lines
    assert (line["event"], line["protocol"], line["peer"]) == (
        "not_dicom",
        protocol,
        "127.0.0.1",
    )
    assert line["remedy"]


def test_a_malformed_pdu_of_an_association_is_one_line_with_the_peer(
    open_storage_scp: OpenStorageScp,
    log_lines: list[dict[str, object]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    scp = open_storage_scp()

    with socket.create_connection(("127.0.0.1", scp.port), timeout=10) as connection:
        connection.sendall(request())
        assert read_answer(connection).kind == 2
        connection.sendall(struct.pack(">BxL", 7, 0))  # an A-ABORT without its fields
        read_answer(connection)

    wait_for(lambda: scp.associations.count() == 0, "the association to be closed", seconds=10)
    (line,) = (one for one in log_lines if one["event"] == "association_broken_off")
    assert line["peer"] == "127.0.0.1"
    assert not caplog.records  # no traceback of pynetdicom

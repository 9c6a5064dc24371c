"""Covered: STOW-RS responses in JSON and XML, and answers that are none.

Not covered: the outcome of an object (test_stow_client.py).
"""

import json

import pytest

from worker.delivery.stow_response import MAX_BYTES, NotUnderstood, StowResponse, read_response

JSON, XML = "application/dicom+json", "application/dicom+xml"
XMLNS = 'xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM"'


def read_json(ds: object) -> StowResponse:
    return read_response(JSON, json.dumps(ds).encode())


def sq(*items: object) -> dict[str, object]:
    return {"vr": "SQ", "Value": list(items)}


def ui(uid: object, reason: object = None) -> dict[str, object]:
    item: dict[str, object] = {"00081155": {"vr": "UI", "Value": [uid]}}
    return item if reason is None else {**item, "00081197": {"vr": "US", "Value": [reason]}}


def xml(*sequences: tuple[str, str, str]) -> bytes:
    """Encode sequences of one item: tag, SOP Instance UID, and Failure Reason or none."""

    def attribute(tag: str, vr: str, content: str) -> str:
        return f'<DicomAttribute tag="{tag}" vr="{vr}">{content}</DicomAttribute>'

    def value(text: str) -> str:
        return f'<Value number="1">{text}</Value>'

    found = "".join(
        attribute(
            tag,
            "SQ",
            '<Item number="1">'
            + attribute("00081155", "UI", value(uid))
            + (attribute("00081197", "US", value(reason)) if reason else "")
            + "</Item>",
        )
        for tag, uid, reason in sequences
    )
    return f'<?xml version="1.0"?><NativeDicomModel {XMLNS}>{found}</NativeDicomModel>'.encode()


@pytest.mark.parametrize(
    ("ds", "expected"),
    [
        ({"00081199": sq(ui("1.2"))}, StowResponse(frozenset({"1.2"}), {})),
        ([{"00081199": sq(ui("1.2"))}], StowResponse(frozenset({"1.2"}), {})),
        ({"00081199": sq(ui("1.2\0"))}, StowResponse(frozenset({"1.2"}), {})),
        (
            {"00081198": sq(ui("1.3", 272)), "00081199": sq(ui("1.2"))},
            StowResponse(frozenset({"1.2"}), {"1.3": 272}),
        ),
        ({"00081198": sq(ui("1.2", "272"))}, StowResponse(frozenset(), {"1.2": 272})),
        ({"00081198": sq(ui("1.2", "disk full"))}, StowResponse(frozenset(), {"1.2": None})),
        ({"00081198": sq(ui("1.2"))}, StowResponse(frozenset(), {"1.2": None})),
        (
            {"00081198": sq(ui("1.2", 272)), "00081199": sq(ui("1.2"))},
            StowResponse(frozenset(), {"1.2": 272}),
        ),
        ({"00081198": None}, StowResponse(frozenset(), {})),
        ({"00081198": {"vr": "SQ"}, "00081199": []}, StowResponse(frozenset(), {})),
        ({"00081199": {"Value": [None, 7, {"00081155": 1}]}}, None),
        ({}, StowResponse(frozenset(), {})),
    ],
)
def test_json_is_read_with_its_gaps(ds: object, expected: StowResponse | None) -> None:
    response = read_json(ds)

    assert expected is None or response == expected
    assert "1.2" not in response.stored & response.failed.keys()


@pytest.mark.parametrize("content_type", [JSON, f"{JSON}; charset=utf-8", JSON.upper()])
def test_parameters_and_case_of_the_media_type_do_not_matter(content_type: str) -> None:
    body = json.dumps({"00081199": sq(ui("1.2"))}).encode()

    assert read_response(content_type, body).stored == {"1.2"}


def test_xml_is_read() -> None:
    body = xml(("00081199", "1.2", ""), ("00081198", "1.3", "272"))

    assert read_response(XML, body) == StowResponse(frozenset({"1.2"}), {"1.3": 272})


def test_xml_in_multipart_related_is_read() -> None:
    head = f"--b\r\nContent-Type: {XML}\r\n\r\n".encode()
    body = head + xml(("00081199", "1.2", "")) + b"\r\n--b--\r\n"

    response = read_response(f'multipart/related; type="{XML}"; boundary=b', body)

    assert response.stored == {"1.2"}


LAUGHS = (
    b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">'
    b'<!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]><NativeDicomModel>&d;</NativeDicomModel>'
)
EXTERNAL = (
    b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]>'
    b"<NativeDicomModel>&b;</NativeDicomModel>"
)


@pytest.mark.parametrize(
    ("content_type", "body", "why"),
    [
        ("text/html", b"<html>Sign in</html>", "text/html"),
        ("application/json", b"{}", "application/json"),
        ("", b"{}", "no media type"),
        (JSON, b"<html>", "no JSON"),
        (JSON, b"", "no JSON"),
        (JSON, b"null", "no DICOM JSON"),
        (JSON, b"[" * 100_000, "no JSON"),
        (JSON, b'"\xff"', "no JSON"),
        (JSON, b" " * (MAX_BYTES + 1), "longer"),
        (XML, b"<NativeDicomModel>", "no XML"),
        (XML, b"", "no XML"),
        (XML, b"<html></html>", "no NativeDicomModel"),
        (XML, LAUGHS, "document type"),
        (XML, EXTERNAL, "document type"),
        (f'multipart/related; type="{XML}"; boundary=b', b"no parts", "multipart"),
    ],
)
def test_any_other_answer_is_not_understood(content_type: str, body: bytes, why: str) -> None:
    with pytest.raises(NotUnderstood, match=why):
        read_response(content_type, body)


def test_deeply_nested_xml_ends_at_a_limit() -> None:
    nested = b'<DicomAttribute tag="00081199"><Item>' * 100
    body = b"<NativeDicomModel>" + nested + b"</Item></DicomAttribute>" * 100
    body += b"</NativeDicomModel>"

    assert read_response(XML, body).stored == set()

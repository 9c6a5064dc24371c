"""Covered: STOW-RS requests as sent, and the outcomes of scripted answers.

Delivery to a real server (Orthanc) is tested in tests/integration/test_delivery.py. Orthanc
never rejects a part of a request; other servers do.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from tests.support.stow_server import HttpAnswer, StowServer, running_stow_server
from worker.delivery.result import Accepted, Outcome, Refused, Unreachable
from worker.delivery.stow_client import probe_stow_rs, store_stow_rs


@pytest.fixture
def server() -> Iterator[StowServer]:
    with running_stow_server() as running:
        yield running


@pytest.fixture
def objects(tmp_path: Path) -> list[Path]:
    paths = []
    for number in (1, 2):
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = SecondaryCaptureImageStorage, f"1.2.{number}"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.3", "1.4"
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        paths.append(tmp_path / f"{number}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths


def report(*sequences: dict[str, Any], **more: Any) -> HttpAnswer:
    """Return an answer whose data set has these sequences."""
    return HttpAnswer(
        body=json.dumps({k: v for one in sequences for k, v in one.items()}), **more
    )


def sequence(tag: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {tag: {"vr": "SQ", "Value": list(items)}}


def item(uid: str, reason: int | None = None) -> dict[str, Any]:
    ds: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    if reason is not None:
        ds["00081197"] = {"vr": "US", "Value": [reason]}
    return ds


def test_each_object_has_its_own_outcome(server: StowServer, objects: list[Path]) -> None:
    server.answer = report(
        sequence("00081199", item("1.2.1")),
        sequence("00081198", item("1.2.2", 0xC122)),
        status=202,
    )

    outcomes = store_stow_rs(objects, server.destination())

    assert outcomes == {
        "1.2.1": Accepted("HTTP 202"),
        "1.2.2": Refused("0xC122", "transfer syntax not supported"),
    }


def test_a_transient_failure_of_an_object_outweighs_the_status_of_the_request(
    server: StowServer, objects: list[Path]
) -> None:
    server.answer = report(
        sequence("00081198", item("1.2.1", 0xA700), item("1.2.2", 0x0124)), status=409
    )

    outcomes = store_stow_rs(objects, server.destination())

    assert outcomes["1.2.1"] == Unreachable("0xA700", "out of resources")
    assert outcomes["1.2.2"] == Refused("0x0124", "not authorized")


def test_a_failure_without_a_reason_is_tried_again(
    server: StowServer, objects: list[Path]
) -> None:
    server.answer = report(sequence("00081198", item("1.2.1"), item("1.2.2")), status=202)

    outcomes = store_stow_rs(objects, server.destination())

    assert set(outcomes.values()) == {Unreachable("0x0110", "processing failure")}


def test_an_answer_that_is_not_json_counts_by_its_status(
    server: StowServer, objects: list[Path]
) -> None:
    server.answer = HttpAnswer(503, body="not json")

    outcomes = store_stow_rs(objects, server.destination())

    assert set(outcomes.values()) == {
        Unreachable("HTTP 503", "the server cannot take it now", blocks_destination=True)
    }


def test_an_object_that_the_answer_does_not_name_counts_as_not_stored(
    server: StowServer, objects: list[Path]
) -> None:
    server.answer = report(sequence("00081199", item("1.2.1")))

    outcomes = store_stow_rs(objects, server.destination())

    assert outcomes["1.2.1"] == Accepted("HTTP 200")
    assert outcomes["1.2.2"] == Unreachable(
        "HTTP 200", "response not understood: it does not name this object"
    )


def test_too_many_requests_are_repeated_after_the_time_that_the_server_sets(
    server: StowServer, objects: list[Path]
) -> None:
    server.answer = HttpAnswer(429, headers={"Retry-After": "7"})

    (outcome,) = set(store_stow_rs(objects, server.destination()).values())

    assert outcome == Unreachable(
        "HTTP 429", "the server cannot take it now", 7, blocks_destination=True
    )


def test_an_accepted_object_is_not_confirmed_without_qido_rs(
    server: StowServer, objects: list[Path]
) -> None:
    server.answer = report(sequence("00081199", item("1.2.1"), item("1.2.2")))

    outcomes = store_stow_rs(objects, server.destination())

    assert set(outcomes.values()) == {Accepted("HTTP 200")}


def test_an_answer_of_another_media_type_stores_nothing(
    server: StowServer, objects: list[Path]
) -> None:
    server.answer = report(
        sequence("00081199", item("1.2.1"), item("1.2.2")), media_type="text/html"
    )

    (outcome,) = set(store_stow_rs(objects, server.destination()).values())

    assert outcome == Unreachable(
        "HTTP 200", "response not understood: the answer is text/html"
    )


def test_a_redirect_names_the_new_address_without_its_secrets(
    server: StowServer, objects: list[Path]
) -> None:
    address = "https://me:secret@new/dicom-web?token=secret"
    server.answer = HttpAnswer(308, headers={"Location": address})

    (outcome,) = set(store_stow_rs(objects, server.destination()).values())

    assert outcome == Unreachable(
        "HTTP 308", "the server has moved to https://new/dicom-web", blocks_destination=True
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (HttpAnswer(400), Accepted("HTTP 400")),
        (HttpAnswer(body="{}"), Accepted("HTTP 200")),
        (
            HttpAnswer(body='{"00081198": null}'),
            Unreachable(
                "HTTP 200",
                "response not understood: the answer has no data set element as 00081198",
            ),
        ),
        (
            HttpAnswer(media_type="text/html", body="<html>"),
            Unreachable("HTTP 200", "response not understood: the answer is text/html"),
        ),
        (HttpAnswer(404), Unreachable("HTTP 404", "no such address", blocks_destination=True)),
    ],
)
def test_a_probe_reads_the_answer_to_an_empty_message(
    answer: HttpAnswer, expected: Outcome, server: StowServer
) -> None:
    server.answer = answer

    assert probe_stow_rs(server.destination()) == expected


def test_files_are_sent_byte_for_byte_in_one_request_with_the_token(
    server: StowServer, objects: list[Path]
) -> None:
    store_stow_rs(objects, server.destination(token="opensesame"))  # noqa: S106

    (body,) = server.bodies
    assert all(path.read_bytes() in body for path in objects)
    assert server.tokens == ["Bearer opensesame"]

"""UIDs derived from content."""

from dataclasses import replace

import pytest
from pydicom import Dataset

from tests.factories import MODEL
from worker.pipeline import uids


def test_derived_uid_is_valid_and_stays_the_same_for_ever() -> None:
    uid = uids.derive_uid("sr", "content")

    assert uid.is_valid
    # Written down: another value would orphan every object that is already in a PACS.
    assert uid == "2.25.76457204515855345759736420618474124265"


def test_role_and_parts_tell_uids_apart() -> None:
    made = {
        uids.derive_uid("sr", "a", "bc"),
        uids.derive_uid("sr", "ab", "c"),
        uids.derive_uid("sr", "abc"),
        uids.derive_uid("sc", "abc"),
    }

    assert len(made) == 4


def test_digest_follows_the_content_and_not_the_order_of_writing() -> None:
    one, two, other = Dataset(), Dataset(), Dataset()
    one.PatientID, one.StudyID = "1", "2"
    two.StudyID, two.PatientID = "2", "1"
    other.PatientID, other.StudyID = "1", "3"

    assert uids.content_digest(one) == uids.content_digest(two)
    assert uids.content_digest(one) != uids.content_digest(other)


def test_new_encoder_version_changes_every_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    ds = Dataset()
    before = uids.content_digest(ds)
    monkeypatch.setattr(uids, "ENCODER_VERSION", "another")

    assert uids.content_digest(ds) != before


def test_tracking_uid_tells_studies_sides_and_regions_apart_and_nothing_else() -> None:
    assert uids.tracking_uid("1.2", "Right", "neck") == uids.tracking_uid(
        "1.2", "Right", "neck"
    )
    made = {
        uids.tracking_uid(study, side, region)
        for study in ("1.2", "1.3")
        for side in ("Right", "Left")
        for region in ("neck", "femur")
    }

    assert len(made) == 8


def test_device_uid_names_the_weights() -> None:
    assert uids.device_uid(MODEL) != uids.device_uid(replace(MODEL, sha256="00" * 32))

"""Covered: UIDs derived from content."""

from dataclasses import replace

import pytest
from pydicom import Dataset

from common.spool import part10
from tests.support.factories import MODEL
from worker.pipeline import uids


def test_derived_uid_is_valid_and_does_not_change() -> None:
    uid = uids.derive_uid("sr", "content")

    assert uid.is_valid
    # A constant: with another value, objects that are already in a PACS would lose their link.
    assert uid == "2.25.76457204515855345759736420618474124265"


def test_role_and_parts_distinguish_uids() -> None:
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


def test_tracking_uid_depends_on_study_side_and_region_only() -> None:
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


def test_device_uid_depends_on_the_weights() -> None:
    assert uids.device_uid(MODEL) != uids.device_uid(replace(MODEL, sha256="00" * 32))


def test_all_files_of_the_product_name_one_implementation() -> None:
    assert uids.IMPLEMENTATION_CLASS_UID == part10.IMPLEMENTATION_CLASS_UID

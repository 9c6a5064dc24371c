"""Instances written to a real spool as by C-STORE, without a network."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from common.settings.storescp import StoreScpSettings
from common.spool.writer import SpoolWriter
from storescp.store.instance_writer import InstanceWriter, Stored, StoreRequest
from storescp.store.refusal import MAX_COMMENT, Refusal
from tests.support.ct_factory import encode

PART_BYTES = 100


def settings(**values: Any) -> StoreScpSettings:
    """Return settings without a minimum of free space."""
    return StoreScpSettings(_env_file=None, **{"min_free_mb": 0, **values})


@dataclass(frozen=True)
class Sent:
    """A command and its data set."""

    request: StoreRequest
    encoded: bytes


def sent(ds: Dataset, **values: Any) -> Sent:
    """Return a valid C-STORE. ``values`` replace fields of the command or the context."""
    request = StoreRequest(
        sop_class_uid=CTImageStorage,
        sop_instance_uid=str(ds.get("SOPInstanceUID", "1.2.3")),
        abstract_syntax=CTImageStorage,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        calling_ae_title="CT_01",
    )
    return Sent(replace(request, **values), encode(ds))


def store(one: Sent, writer: SpoolWriter, **values: Any) -> Stored:
    """Write a data set in small parts."""
    instance = InstanceWriter(one.request, writer, settings(**values))
    for start in range(0, len(one.encoded), PART_BYTES):
        instance.write(memoryview(one.encoded)[start : start + PART_BYTES])
    return instance.finish()


def refused(one: Sent, writer: SpoolWriter, **values: Any) -> Refusal:
    """Return the refusal of an instance; check that it left no file."""
    before = files(writer)
    with pytest.raises(Refusal) as refusal:
        store(one, writer, **values)
    assert files(writer) == before
    assert len(refusal.value.to_data_set().ErrorComment) <= MAX_COMMENT
    return refusal.value


def files(writer: SpoolWriter) -> list[Path]:
    """Return all files in the spool."""
    return sorted(path for path in writer.spool_dir.rglob("*") if path.is_file())

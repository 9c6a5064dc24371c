"""Covered: instances that are too large, discarded or written to a failing or full disk.

Not covered: full disks with a real file system (tests/faults).
"""

import errno
import os

import pytest

from common.dicomnet import status
from common.settings.storescp import MEGABYTE
from common.spool.writer import SpoolWriter
from storescp.store.instance_writer import InstanceWriter
from storescp.store.refusal import Refusal
from tests.support.ct_factory import ct_instance
from tests.support.instance_writing import files, refused, sent, settings, store


def test_an_instance_over_the_limit_is_refused(writer: SpoolWriter) -> None:
    one = sent(ct_instance(size=800))

    refusal = refused(one, writer, max_instance_mb=1)

    assert (refusal.status, refusal.comment) == (
        status.OUT_OF_RESOURCES,
        "instance is larger than 1 MB",
    )


def test_too_little_disk_space_is_refused(writer: SpoolWriter) -> None:
    refusal = refused(sent(ct_instance()), writer, min_free_mb=10**9)

    assert refusal.status == status.OUT_OF_RESOURCES == 0xA700


def test_a_disk_that_fails_is_out_of_resources(
    writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(sent(ct_instance()), writer)

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    refusal = refused(sent(ct_instance()), writer)

    assert (refusal.status, refusal.comment) == (
        status.OUT_OF_RESOURCES,
        "spool: Input/output error",
    )


def test_too_large_is_noticed_while_it_comes_and_leaves_nothing(writer: SpoolWriter) -> None:
    instance = InstanceWriter(sent(ct_instance()).request, writer, settings(max_instance_mb=1))

    instance.write(bytes(MEGABYTE))
    assert len(files(writer)) == 1
    instance.write(b"x")

    assert files(writer) == []
    instance.write(bytes(MEGABYTE))
    with pytest.raises(Refusal, match="larger than 1 MB"):
        instance.finish()


def test_what_is_discarded_leaves_nothing(writer: SpoolWriter) -> None:
    instance = InstanceWriter(sent(ct_instance()).request, writer, settings())
    instance.write(b"half")

    instance.discard()

    assert files(writer) == []
    with pytest.raises(Refusal):
        instance.finish()


def test_a_disk_that_fills_up_while_it_comes_is_out_of_resources(
    writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = sent(ct_instance())
    instance = InstanceWriter(one.request, writer, settings())

    def full(_: int, __: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", full)
        instance.write(one.encoded)

    assert files(writer) == []
    with pytest.raises(Refusal, match="No space left") as refusal:
        instance.finish()
    assert refusal.value.status == status.OUT_OF_RESOURCES

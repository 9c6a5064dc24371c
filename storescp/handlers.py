"""What happens to one C-STORE request: bytes as sent → checked → durable → status."""

from dataclasses import dataclass

from db.spool import SeriesKey, SpoolWriter, free_bytes, instance_path, is_valid_uid
from storescp import status
from storescp.dataset import Identity, Undecodable, read_identity
from storescp.part10 import encode_header, holds_same
from storescp.settings import MEGABYTE, StoreScpSettings
from storescp.status import Refusal


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """A C-STORE request. ``encoded`` is the data set as it was sent."""

    encoded: bytes
    sop_class_uid: str
    sop_instance_uid: str
    abstract_syntax: str
    transfer_syntax_uid: str
    calling_ae_title: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A durable instance. ``changed``: the spool did not have these bytes before."""

    key: SeriesKey
    changed: bool


def store(request: StoreRequest, writer: SpoolWriter, settings: StoreScpSettings) -> Stored:
    """Make an instance durable; raises Refusal and leaves nothing behind.

    The same bytes again are stored once. Other bytes under the same SOP Instance UID replace
    the former ones and make a new revision of the series (docs/decisions/0007-intake.md).
    """
    _check_space(request, writer, settings)
    identity = _check_identity(request, max_bytes=settings.max_instance_mb * MEGABYTE)
    key = SeriesKey(identity.study_instance_uid, identity.series_instance_uid)
    path = instance_path(writer.spool_dir, key, identity.sop_instance_uid)
    header = encode_header(
        request.sop_class_uid,
        request.sop_instance_uid,
        request.transfer_syntax_uid,
        request.calling_ae_title,
    )
    try:
        if holds_same(path, request.encoded, request.transfer_syntax_uid):
            writer.confirm(path)
            return Stored(key, changed=False)
        writer.write(path, (header, request.encoded))
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise Refusal(status.OUT_OF_RESOURCES, f"spool: {problem}") from error
    return Stored(key, changed=True)


def _check_space(
    request: StoreRequest, writer: SpoolWriter, settings: StoreScpSettings
) -> None:
    if len(request.encoded) > settings.max_instance_mb * MEGABYTE:
        raise Refusal(
            status.OUT_OF_RESOURCES, f"instance is larger than {settings.max_instance_mb} MB"
        )
    free = free_bytes(writer.spool_dir) - len(request.encoded)
    if free < settings.min_free_mb * MEGABYTE:
        raise Refusal(
            status.OUT_OF_RESOURCES, f"less than {settings.min_free_mb} MB of disk space left"
        )


def _check_identity(request: StoreRequest, *, max_bytes: int) -> Identity:
    """The UIDs of the data set, valid and equal to the command's; raises Refusal."""
    try:
        identity = read_identity(
            request.encoded, request.transfer_syntax_uid, max_bytes=max_bytes
        )
    except Undecodable as error:
        raise Refusal(status.UNDECODABLE, str(error)) from None
    for name, uid in (
        ("SOP Class UID", identity.sop_class_uid),
        ("SOP Instance UID", identity.sop_instance_uid),
        ("Study Instance UID", identity.study_instance_uid),
        ("Series Instance UID", identity.series_instance_uid),
    ):
        if not is_valid_uid(uid):
            problem = "is not a UID" if uid else "is missing"
            raise Refusal(status.INVALID_UID, f"{name} {problem}")
    if not identity.sop_class_uid == request.sop_class_uid == request.abstract_syntax:
        raise Refusal(status.DATA_SET_DOES_NOT_MATCH, "SOP Class UID differs from the command")
    if identity.sop_instance_uid != request.sop_instance_uid:
        raise Refusal(
            status.DATA_SET_DOES_NOT_MATCH, "SOP Instance UID differs from the command"
        )
    return identity

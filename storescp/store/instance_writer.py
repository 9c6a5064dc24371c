"""Write the data set of one instance to the spool as sent, check it, make it durable."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from common.dicom.errors import NotPart10, Undecodable
from common.dicom.uids import InvalidUid, is_valid_uid
from common.dicomnet import status
from common.settings.storescp import MEGABYTE, StoreScpSettings
from common.spool.disk_space import is_too_full
from common.spool.held import Sender, held_path, sender_of
from common.spool.incoming import Incoming
from common.spool.layout import SeriesKey, instance_path
from common.spool.part10 import encode_header, holds_same, read_header
from common.spool.writer import SpoolWriter
from storescp.contexts import SOP_CLASSES, TRANSFER_SYNTAXES
from storescp.store.identity import Identity, read_front_identity, read_identity
from storescp.store.refusal import Refusal

CHECK_SPACE_BYTES = 16 * MEGABYTE
FRONT_BYTES = 16 * 1024
"""Start of a data set: contains the headers of all elements of most CT images."""


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """The command of a C-STORE and its presentation context.

    ``source_address`` : network address of the sender, "" where unknown.
    ``study_instance_uid`` : the study that the instance must belong to; None for any.
    ``fills_gaps`` : keep an instance of the spool, whatever arrives under its UID.
    """

    sop_class_uid: str
    sop_instance_uid: str
    abstract_syntax: str
    transfer_syntax_uid: str
    calling_ae_title: str
    source_address: str = ""
    study_instance_uid: str | None = None
    fills_gaps: bool = False

    @property
    def sender(self) -> Sender:
        """The sender of the instance."""
        return Sender(self.calling_ae_title, self.source_address)


@dataclass(frozen=True, slots=True)
class Stored:
    """A durable instance.

    ``changed`` : the spool did not have these bytes before. ``held`` : they are beside those
    of the first sender and wait for a decision.
    """

    key: SeriesKey
    sop_instance_uid: str
    changed: bool
    held: bool = False


class InstanceWriter:
    """A file in ``incoming`` that becomes one instance of the spool.

    ``write`` takes the data set in parts of any size; each call is one system call, so larger
    calls are cheaper. It does not raise: a status can be sent only after the whole data set.
    ``finish`` raises the first refusal. Call ``finish`` or ``discard`` last.
    """

    def __init__(
        self, request: StoreRequest, writer: SpoolWriter, settings: StoreScpSettings
    ) -> None:
        self.size = 0
        self._request = request
        self._writer = writer
        self._settings = settings
        self._refusal: Refusal | None = None
        self._file: Incoming | None = None
        self._check_space_at = 0
        self._header = b""  # written with the first part
        self._data_set_offset = 0
        self._front = b""  # start of the data set
        try:
            _check_command(request)
            self._check_space()
            self._file = self._open()
        except Refusal as refusal:
            self._refusal = refusal

    def write(self, *parts: bytes | memoryview) -> None:
        """Append to the data set; after a refusal, only count its bytes."""
        if len(self._front) < FRONT_BYTES:
            self._extend_front(parts)
        self.size += sum(map(len, parts))
        if self._file is None:
            return
        try:
            if self.size >= self._check_space_at:
                self._check_space()
            header, self._header = self._header, b""
            self._file.write(header, *parts)
        except Refusal as refusal:
            self._refuse(refusal)
        except OSError as error:
            self._refuse(_disk_refusal(error))

    def finish(self) -> Stored:
        """Make the instance durable; raises Refusal after deleting the file.

        Identical bytes are stored once. Other bytes of the same SOP Instance UID replace the
        former ones and cause a new revision of the series (docs/decisions/0007-intake.md),
        unless another sender sent those: then they are held (0027-changed-content.md there).
        """
        if self._header:
            self.write()  # the data set was empty
        try:
            if self._refusal is not None or self._file is None:
                raise self._refusal or Refusal(status.PROCESSING_FAILURE, "already ended")
            return self._finish(self._file)
        except OSError as error:
            raise _disk_refusal(error) from error
        finally:
            self.discard()

    def series_in_front(self) -> SeriesKey | None:
        """Return the series that the first bytes of the data set name, whatever follows."""
        identity = read_front_identity(self._front, self._request.transfer_syntax_uid)
        try:
            return SeriesKey(identity.study_instance_uid, identity.series_instance_uid)
        except InvalidUid:
            return None

    def discard(self) -> None:
        """Delete the file of an instance that is not finished."""
        if self._file is not None:
            self._file.discard()
            self._file = None

    def _extend_front(self, parts: tuple[bytes | memoryview, ...]) -> None:
        for part in parts:
            missing = FRONT_BYTES - len(self._front)
            if not missing:
                break
            self._front += part[:missing]

    def _open(self) -> Incoming:
        request = self._request
        self._header = encode_header(
            request.sop_class_uid,
            request.sop_instance_uid,
            request.transfer_syntax_uid,
            request.calling_ae_title,
            request.source_address,
        )
        self._data_set_offset = len(self._header)
        try:
            return self._writer.open()
        except OSError as error:
            raise _disk_refusal(error) from error

    def _refuse(self, refusal: Refusal) -> None:
        self._refusal = refusal
        self.discard()

    def _check_space(self) -> None:
        """Check size and free space every ``CHECK_SPACE_BYTES``; raises Refusal."""
        settings = self._settings
        largest = settings.max_instance_mb * MEGABYTE
        if self.size > largest:
            raise Refusal(
                status.OUT_OF_RESOURCES,
                f"instance is larger than {settings.max_instance_mb} MB",
            )
        if is_too_full(self._writer.spool_dir, settings.min_free_mb):
            raise Refusal(
                status.OUT_OF_RESOURCES,
                f"less than {settings.min_free_mb} MB of disk space left",
            )
        self._check_space_at = min(self.size + CHECK_SPACE_BYTES, largest + 1)

    def _finish(self, file: Incoming) -> Stored:
        writer = self._writer
        identity = self._identity(file)
        key = SeriesKey(identity.study_instance_uid, identity.series_instance_uid)
        path = instance_path(writer.spool_dir, key, identity.sop_instance_uid)
        same = self._is_stored(path, file)
        held = not same and self._must_hold(path)
        if same:
            writer.confirm(path)
        elif held:
            writer.commit(file, held_path(writer.spool_dir, key, self._sha256(file)))
        else:
            writer.commit(file, path)
        return Stored(key, identity.sop_instance_uid, changed=not (same or held), held=held)

    def _must_hold(self, path: Path) -> bool:
        """Return whether another sender sent the instance that the spool has."""
        if self._settings.changed_content == "accept" or not path.exists():
            return False
        try:
            return sender_of(read_header(path)).differs_from(self._request.sender)
        except (NotPart10, FileNotFoundError):
            return False

    def _sha256(self, file: Incoming) -> str:
        with (
            file.map() as content,
            memoryview(content) as whole,
            whole[self._data_set_offset :] as encoded,
        ):
            return hashlib.sha256(encoded).hexdigest()

    def _is_stored(self, path: Path, file: Incoming) -> bool:
        """Return whether the spool already has this data set."""
        if not path.exists():
            return False
        if self._request.fills_gaps:
            return True
        with (
            file.map() as content,
            memoryview(content) as whole,
            whole[self._data_set_offset :] as encoded,
        ):
            return holds_same(path, encoded, self._request.transfer_syntax_uid)

    def _identity(self, file: Incoming) -> Identity:
        """Return the UIDs of the data set.

        Raises Refusal where one is invalid or differs from the command.
        """
        request = self._request
        identity = self._read_identity(file)
        _check_uid("SOP Class UID", identity.sop_class_uid)
        _check_uid("SOP Instance UID", identity.sop_instance_uid)
        _check_uid("Study Instance UID", identity.study_instance_uid)
        _check_uid("Series Instance UID", identity.series_instance_uid)
        if identity.sop_class_uid != request.sop_class_uid:
            raise Refusal(
                status.DATA_SET_DOES_NOT_MATCH, "SOP Class UID differs from the command"
            )
        if identity.sop_instance_uid != request.sop_instance_uid:
            raise Refusal(
                status.DATA_SET_DOES_NOT_MATCH, "SOP Instance UID differs from the command"
            )
        if request.study_instance_uid not in (None, identity.study_instance_uid):
            raise Refusal(status.DATA_SET_DOES_NOT_MATCH, "instance is of another study")
        return identity

    def _read_identity(self, file: Incoming) -> Identity:
        """Walk the data set; raises Refusal."""

        def read_at(position: int, length: int) -> bytes:
            return file.read_at(self._data_set_offset + position, length)

        try:
            return read_identity(
                self._front,
                self._request.transfer_syntax_uid,
                size=self.size,
                read_at=read_at,
                max_bytes=self._settings.max_instance_mb * MEGABYTE,
            )
        except Undecodable as error:
            raise Refusal(status.UNDECODABLE, str(error)) from None


def _check_command(request: StoreRequest) -> None:
    _check_uid("Affected SOP Class UID", request.sop_class_uid)
    _check_uid("Affected SOP Instance UID", request.sop_instance_uid)
    if request.sop_class_uid != request.abstract_syntax:
        raise Refusal(
            status.DATA_SET_DOES_NOT_MATCH, "SOP Class UID differs from the context's"
        )
    # An association has negotiated these; a Part 10 file may have any.
    if request.sop_class_uid not in SOP_CLASSES:
        raise Refusal(status.SOP_CLASS_NOT_SUPPORTED, "not a CT image")
    if request.transfer_syntax_uid not in TRANSFER_SYNTAXES:
        raise Refusal(status.TRANSFER_SYNTAX_NOT_SUPPORTED, "transfer syntax not supported")


def _check_uid(name: str, uid: str) -> None:
    if not is_valid_uid(uid):
        problem = "is not a UID" if uid else "is missing"
        raise Refusal(status.INVALID_UID, f"{name} {problem}")


def _disk_refusal(error: OSError) -> Refusal:
    problem = error.strerror or type(error).__name__
    return Refusal(status.OUT_OF_RESOURCES, f"spool: {problem}")

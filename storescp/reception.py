"""What happens to the data set of one C-STORE: bytes as sent → disk → checked → durable."""

from dataclasses import dataclass
from pathlib import Path

from db.incoming import Incoming
from db.spool import SeriesKey, SpoolWriter, free_bytes, instance_path, is_valid_uid
from storescp import status
from storescp.association.contexts import SOP_CLASSES, TRANSFER_SYNTAXES
from storescp.dataset import Identity, Undecodable, read_front_identity, read_identity
from storescp.part10 import encode_header, holds_same
from storescp.settings import MEGABYTE, StoreScpSettings
from storescp.status import Refusal

CHECK_SPACE_BYTES = 16 * MEGABYTE
FRONT_BYTES = 16 * 1024
"""Of a data set: the headers of all elements of most CT images."""


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """The command of a C-STORE, and the presentation context that it came in.

    ``study_instance_uid`` : the study that the instance must be of, where one was named.
    """

    sop_class_uid: str
    sop_instance_uid: str
    abstract_syntax: str
    transfer_syntax_uid: str
    calling_ae_title: str
    study_instance_uid: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A durable instance. ``changed``: the spool did not have these bytes before."""

    key: SeriesKey
    changed: bool


class Reception:
    """One instance on its way into the spool.

    ``write`` takes its data set in parts of any size, the more at once the better: each call
    is one of the system, whose cost is mostly by call. It never fails: a sender can be told
    only when all is sent. ``finish`` tells. Ends by ``finish`` or by ``discard``.
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
        self._header = b""  # until it is written with the first part
        self._start = 0  # of the data set in the file
        self._front = b""  # of the data set
        try:
            _check_command(request)
            self._check_space()
            self._file = self._open()
        except Refusal as refusal:
            self._refusal = refusal

    def write(self, *parts: bytes | memoryview) -> None:
        """Append to the data set; after a problem it is only counted."""
        if self.size == 0 and parts:
            self._front = bytes(parts[0][:FRONT_BYTES])
        self.size += sum(map(len, parts))
        if self._file is None:
            return
        try:
            if self.size >= self._check_space_at:
                self._check_space()
            header, self._header = self._header, b""
            self._file.write(header, *parts)
        except Refusal as refusal:
            self._give_up(refusal)
        except OSError as error:
            self._give_up(_of_disk(error))

    def finish(self) -> Stored:
        """Make the instance durable; raises Refusal and leaves nothing behind.

        The same bytes again are stored once. Other bytes under the same SOP Instance UID
        replace the former ones and make a new revision of the series
        (docs/decisions/0007-intake.md).
        """
        if self._header:
            self.write()  # no data set came
        try:
            if self._refusal is not None or self._file is None:
                raise self._refusal or Refusal(status.PROCESSING_FAILURE, "already ended")
            return self._finish(self._file)
        except OSError as error:
            raise _of_disk(error) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Leave nothing behind of an instance that is not finished."""
        if self._file is not None:
            self._file.discard()
            self._file = None

    def _open(self) -> Incoming:
        request = self._request
        self._header = encode_header(
            request.sop_class_uid,
            request.sop_instance_uid,
            request.transfer_syntax_uid,
            request.calling_ae_title,
        )
        self._start = len(self._header)
        try:
            return self._writer.open()
        except OSError as error:
            raise _of_disk(error) from error

    def _give_up(self, refusal: Refusal) -> None:
        self._refusal = refusal
        self.discard()

    def _check_space(self) -> None:
        """Compare with the limits, at the start and now and then; raises Refusal."""
        settings = self._settings
        largest = settings.max_instance_mb * MEGABYTE
        if self.size > largest:
            raise Refusal(
                status.OUT_OF_RESOURCES,
                f"instance is larger than {settings.max_instance_mb} MB",
            )
        if free_bytes(self._writer.spool_dir) < settings.min_free_mb * MEGABYTE:
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
        same = self._is_there(path, file)
        if same:
            writer.confirm(path)
        else:
            writer.commit(file, path)
        return Stored(key, changed=not same)

    def _is_there(self, path: Path, file: Incoming) -> bool:
        """Whether the spool has this data set already."""
        if not path.exists():
            return False
        with (
            file.map() as content,
            memoryview(content) as whole,
            whole[self._start :] as encoded,
        ):
            return holds_same(path, encoded, self._request.transfer_syntax_uid)

    def _identity(self, file: Incoming) -> Identity:
        """The UIDs of the data set, valid and equal to the command's; raises Refusal."""
        request = self._request
        identity = read_front_identity(
            self._front, request.transfer_syntax_uid, size=self.size
        ) or self._walk(file)
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

    def _walk(self, file: Incoming) -> Identity:
        """All of the file; raises Refusal."""
        try:
            with file.map() as content:
                return read_identity(
                    content,
                    self._request.transfer_syntax_uid,
                    max_bytes=self._settings.max_instance_mb * MEGABYTE,
                    start=self._start,
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
    # An association has settled these; a file may be of any kind.
    if request.sop_class_uid not in SOP_CLASSES:
        raise Refusal(status.SOP_CLASS_NOT_SUPPORTED, "not a CT image")
    if request.transfer_syntax_uid not in TRANSFER_SYNTAXES:
        raise Refusal(status.TRANSFER_SYNTAX_NOT_SUPPORTED, "transfer syntax not supported")


def _check_uid(name: str, uid: str) -> None:
    if not is_valid_uid(uid):
        problem = "is not a UID" if uid else "is missing"
        raise Refusal(status.INVALID_UID, f"{name} {problem}")


def _of_disk(error: OSError) -> Refusal:
    problem = error.strerror or type(error).__name__
    return Refusal(status.OUT_OF_RESOURCES, f"spool: {problem}")

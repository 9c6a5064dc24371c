"""Targets of fuzzing: each input must give a result or one of the documented errors.

Each target has a corpus of valid inputs. ``feed`` raises where an input breaks it, ``end``
where files are left.
"""

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from common.dicom.errors import NotPart10, Undecodable
from common.dicomnet.multipart import BadMultipart, MultipartReader
from common.settings.storescp import MEGABYTE, StoreScpSettings
from common.spool.layout import INCOMING
from common.spool.part10 import read_header
from common.spool.writer import SpoolWriter
from storescp.association.command import BadCommand, Command, decode_command, encode_response
from storescp.association.message_assembler import DataSetSink, MessageAssembler
from storescp.association.pdu import BadPdu
from storescp.association.pdv_reader import PdvReader
from storescp.registration.associations import Associations
from storescp.registration.pending_series import PendingSeries
from storescp.store.instance_writer import InstanceWriter, StoreRequest
from storescp.store.part10_writer import Part10Writer
from storescp.store.refusal import Refusal
from storescp.store.store_operation import StorageService
from tests.fuzz.mutate import mutate
from tests.support.ct_factory import ct_instance, ct_series, encode, write_files
from tests.support.encoded import deflate, identity_in
from tests.support.raw_pdu import COMMAND, DATA, ECHO, LAST, p_data, pdv, store
from worker.pipeline.load import find_series, read_series, read_volume
from worker.pipeline.results import Rejected
from worker.pipeline.validation.eligibility import check_series, check_volume
from worker.pipeline.validation.rules import first_failure

SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
MAX_BYTES = 4 * MEGABYTE


class Target(Protocol):
    """A part of the services that reads untrusted bytes."""

    name: str

    def feed(self, rng: random.Random) -> None:
        """Process one mutated input; raises where it breaks the target."""

    def end(self) -> None:
        """Check after the last input that no file is left, where the target writes files.

        Raises AssertionError.
        """


def instance(**elements: object) -> bytes:
    """A data set with a nested sequence, private elements and an empty value."""
    ds = ct_instance(size=4, **elements)
    ds.ReferencedImageSequence = [ct_instance(size=2), ct_instance(size=2)]
    ds.ReferencedImageSequence.is_undefined_length = True
    block = ds.private_block(0x0009, "FUZZ", create=True)
    block.add_new(1, "UN", b"\0" * 10)
    return encode(ds)


def encoded_as(syntax: str) -> list[bytes]:
    """Valid data sets in one transfer syntax."""
    plain = ct_series(3, size=4)
    if syntax == DeflatedExplicitVRLittleEndian:
        return [deflate(instance())]
    if syntax == ExplicitVRLittleEndian:
        return [instance(), *(encode(ds) for ds in plain)]
    return [encode(ds, syntax) for ds in plain]


class Commands(Target):
    """Command sets."""

    name = "command sets"

    def __init__(self, _: Path) -> None:
        self._corpus = [store("1.2.3"), store("1.2.3.4", 65_535), ECHO]

    def feed(self, rng: random.Random) -> None:
        with suppress(BadCommand):
            encode_response(decode_command(mutate(rng, self._corpus)), 0xA700, "comment")


class DataSets(Target):
    """Encoded data sets in four transfer syntaxes."""

    name = "data sets"

    def __init__(self, _: Path) -> None:
        self._corpora = {syntax: encoded_as(syntax) for syntax in SYNTAXES}

    def feed(self, rng: random.Random) -> None:
        syntax = rng.choice(SYNTAXES)
        with suppress(Undecodable):
            identity_in(mutate(rng, self._corpora[syntax]), syntax, max_bytes=MAX_BYTES)


class Headers(Target):
    """File Meta Information of files in the spool."""

    name = "file headers"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "file"
        paths = write_files(ct_series(2, size=2), folder / "in")
        self._corpus = [path.read_bytes()[:400] for path in paths]

    def feed(self, rng: random.Random) -> None:
        self._path.write_bytes(mutate(rng, self._corpus))
        with suppress(NotPart10):
            read_header(self._path)


class _Handler:
    """Takes messages as ``StreamingDUL`` does, and discards them."""

    def begin_store(self, command: Command, context_id: int) -> DataSetSink:
        return self

    def answer_store(self, command: Command, context_id: int, refusal: Refusal | None) -> None:
        encode_response(command, 0)

    def forward(self, context_id: int, control: int, part: bytes) -> None:
        pass

    def write(self, *parts: bytes | memoryview) -> None:
        pass

    def finish(self) -> Refusal | None:
        return None

    def discard(self) -> None:
        pass


class PduStreams(Target):
    """P-DATA-TF PDUs, assembled to messages."""

    name = "PDU streams"

    def __init__(self, _: Path) -> None:
        self._corpus = [
            p_data(pdv(1, COMMAND | LAST, store("1.2.3")), pdv(1, DATA, b"12"))
            + p_data(pdv(1, LAST, b"34")),
            p_data(
                pdv(1, COMMAND, store("1.2")[:20]), pdv(1, COMMAND | LAST, store("1.2")[20:])
            ),
            p_data(pdv(3, COMMAND | LAST, ECHO)) * 3,
        ]

    def feed(self, rng: random.Random) -> None:
        data = memoryview(mutate(rng, self._corpus))
        assembler = MessageAssembler(_Handler())
        reader = PdvReader(assembler, max_pdu_bytes=4096)
        with suppress(BadPdu, BadCommand):
            while len(data) >= reader.needed and (data or reader.in_fragment):
                data = data[reader.read(data) :]
        assembler.discard()


class InstanceWriters(Target):
    """Instances that are written, checked and made durable."""

    name = "instances"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spool_dir = folder / "spool"
        values = {"spool_dir": self._spool_dir, "min_free_mb": 0, "max_instance_mb": 4}
        self._settings = StoreScpSettings.model_validate(values)
        self._writer = SpoolWriter(self._spool_dir)
        self._writer.prepare()
        self._uid = "1.2.3.4.5"
        self._corpora = {
            syntax: [encode(ct_instance(size=4, SOPInstanceUID=self._uid), syntax)]
            for syntax in SYNTAXES[:3]
        }

    def feed(self, rng: random.Random) -> None:
        syntax = rng.choice(SYNTAXES[:3])
        data = mutate(rng, self._corpora[syntax])
        uid = self._uid if rng.random() < 0.9 else rng.choice(("../x", "", "1/2", "\0", "1..2"))
        request = StoreRequest(
            sop_class_uid=CTImageStorage,
            sop_instance_uid=uid,
            abstract_syntax=CTImageStorage,
            transfer_syntax_uid=syntax,
            calling_ae_title="FUZZ",
        )
        writer = InstanceWriter(request, self._writer, self._settings)
        for start in range(0, len(data), 100):
            writer.write(data[start : start + 100])
        with suppress(Refusal):
            writer.finish()

    def end(self) -> None:
        check_spool(self._spool_dir)
        assert [path.name for path in self._folder.iterdir()] == ["spool"]


class StowBodies(Target):
    """Bodies of STOW-RS: multipart/related with a DICOM file in each part."""

    name = "STOW-RS bodies"

    def __init__(self, folder: Path) -> None:
        self._spool_dir = folder / "spool"
        values = {"spool_dir": self._spool_dir, "min_free_mb": 0, "max_instance_mb": 4}
        self._settings = StoreScpSettings.model_validate(values)
        associations = Associations(PendingSeries(), limit=1, limit_per_peer=1)
        self._service = StorageService(
            SpoolWriter(self._spool_dir), self._settings, associations
        )
        self._service.writer.prepare()
        files = [path.read_bytes() for path in write_files(ct_series(2, size=2), folder / "in")]
        head = b"--limit\r\nContent-Type: application/dicom\r\n\r\n"
        body = b"".join(head + file + b"\r\n" for file in files) + b"--limit--\r\n"
        self._corpus = [body, head + files[0] + b"\r\n--limit--\r\n"]

    def feed(self, rng: random.Random) -> None:
        body = mutate(rng, self._corpus)
        files = Part10Writer(self._service, self, "FUZZ")
        parts = MultipartReader(b"limit", lambda headers: files)
        size = rng.choice((1, 7, 100, 4096)) if len(body) < 4000 else 997
        try:
            for start in range(0, len(body), size):
                parts.write(body[start : start + size])
            parts.finish()
        except BadMultipart:
            pass
        finally:
            parts.discard()

    def end(self) -> None:
        check_spool(self._spool_dir)


class LoadedSeries(Target):
    """The loader and the eligibility rules of the worker, with one or two damaged files."""

    name = "loaded series"

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "series"
        paths = write_files(ct_series(12, size=4), self._folder)
        self._files = {path: path.read_bytes() for path in paths}

    def feed(self, rng: random.Random) -> None:
        corpus = list(self._files.values())
        damaged = rng.sample(list(self._files), rng.randint(1, 2))
        for path in damaged:
            path.write_bytes(mutate(rng, corpus))
        for paths in find_series(self._folder).values():
            series = read_series(paths)
            if not isinstance(series, Rejected) and first_failure(check_series(series)) is None:
                volume = read_volume(series)
                if not isinstance(volume, Rejected):
                    first_failure(check_volume(volume))
        for path in damaged:
            path.write_bytes(self._files[path])

    def end(self) -> None:
        assert sorted(self._folder.iterdir()) == sorted(self._files)


def check_spool(spool_dir: Path) -> None:
    """Check that the spool has no incoming files and only instances."""
    incoming = spool_dir / INCOMING
    assert not list(incoming.iterdir()), "a file was left in incoming"
    for path in spool_dir.rglob("*"):
        if path != incoming and path.is_file():
            parts = path.relative_to(spool_dir).parts
            assert len(parts) == 3, f"{path} is not the path of an instance"
            assert path.suffix == ".dcm"


TARGETS: Sequence[Callable[[Path], Target]] = (
    Commands, PduStreams, DataSets, Headers, InstanceWriters, StowBodies, LoadedSeries,
)  # fmt: skip

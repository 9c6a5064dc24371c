"""The ways of a data set through the services, each within limits of CPU time and memory."""

import struct
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import numpy as np
from pydicom.uid import CTImageStorage

from common.dicom.errors import NotPart10, Undecodable
from common.dicom.file_header import read_file_header
from common.dicomnet.multipart import MultipartReader
from common.settings.storescp import MEGABYTE, StoreScpSettings
from common.spool.part10 import encode_header, read_header
from common.spool.writer import SpoolWriter
from storescp.registration.associations import Associations
from storescp.registration.headers import FACT_TAGS, facts_of
from storescp.registration.pending_series import PendingSeries
from storescp.store.part10_writer import Part10Writer
from storescp.store.store_operation import StorageService
from tests.fuzz.bombs import BOMBS
from tests.fuzz.codestreams import CODESTREAMS
from tests.fuzz.hostile import UIDS, Generators, Hostile, second
from tests.fuzz.mutate import mutate
from tests.fuzz.resources import peak_megabytes, reset_peak
from tests.fuzz.sizes import SIZES
from tests.fuzz.targets import check_spool
from tests.support.encoded import identity_in
from worker.pipeline.load import find_series, read_series, read_volume
from worker.pipeline.results import Rejected
from worker.pipeline.validation.eligibility import check_series, check_volume
from worker.pipeline.volume import Volume

MAX_CPU_SECONDS = 1.0
MAX_MEGABYTES = 500.0
MAX_BYTES = 1024 * MEGABYTE
FAULT_SHARE = 0.2  # of inputs that get random faults too: nothing is then expected of them
META_LENGTH_AT = 140
ROUTE_WEIGHTS = (8, 4, 1, 6)
INTERCEPT_HU = -1024


@contextmanager
def bounded(what: str, files: int = 1) -> Iterator[None]:
    """Check the CPU time of all threads for each file, and the memory at its peak."""
    before = reset_peak()
    start = time.process_time()
    yield
    seconds = (time.process_time() - start) / files
    assert seconds < MAX_CPU_SECONDS, f"{what}: {seconds:.1f} s of CPU time"
    megabytes = peak_megabytes() - before
    assert megabytes < MAX_MEGABYTES, f"{what}: {megabytes:.0f} MB"


def run_pipeline(paths: Sequence[Path]) -> Iterator[Volume]:
    """Read a series and apply all rules; yield the volume, even where a rule rejects it.

    One slice makes no volume, and is rejected before.
    """
    series = read_series(paths)
    if isinstance(series, Rejected):
        return
    check_series(series)
    if len(series.headers) < 2:
        return
    volume = read_volume(series)
    if isinstance(volume, Volume):
        check_volume(volume)
        yield volume


class HostileFiles:
    """Data sets of generators, each on one of the routes."""

    name = "hostile files"
    generators: Generators

    def __init__(self, folder: Path) -> None:
        self._spool_dir, self._folder = folder / "spool", folder / "in"
        self._folder.mkdir(parents=True)
        self._paths = self._folder / "1.dcm", self._folder / "2.dcm"
        values = {"spool_dir": self._spool_dir, "min_free_mb": 0, "max_instance_mb": 1024}
        settings = StoreScpSettings.model_validate(values)
        associations = Associations(PendingSeries(), limit=1, limit_per_peer=1)
        self._service = StorageService(SpoolWriter(self._spool_dir), settings, associations)
        self._service.writer.prepare()
        self.counts: Counter[str] = Counter()

    def feed(self, rng: Random) -> None:
        kinds = list(self.generators)
        weights = [weight for weight, _ in self.generators.values()]
        (kind,) = rng.choices(kinds, weights)
        hostile = self.generators[kind][1](rng)
        if rng.random() < FAULT_SHARE:
            hostile = Hostile(hostile.syntax, mutate(rng, [hostile.encoded]))
        routes = (self._walk, self._facts, self._stow, self._pipeline)
        (route,) = rng.choices(routes, ROUTE_WEIGHTS)
        self.counts[kind] += 1
        files = len(self._paths) if route == self._pipeline else 1
        what = f"{kind}, {route.__name__.strip('_')}"
        try:
            with bounded(what, files):
                route(hostile)
        except Exception as error:
            raise AssertionError(f"{what}: {error!r}") from error

    def end(self) -> None:
        check_spool(self._spool_dir)
        assert sorted(self._folder.iterdir()) == sorted(self._paths)

    def _walk(self, hostile: Hostile) -> None:
        """Read the identity as C-STORE does."""
        accepted = False
        with suppress(Undecodable):
            identity_in(hostile.encoded, hostile.syntax, front=4096, max_bytes=MAX_BYTES)
            accepted = True
        result = "accepted" if accepted else "refused"
        assert hostile.refused in (None, not accepted), result

    def _facts(self, hostile: Hostile) -> None:
        """Read the facts as registration does."""
        path = self._paths[0]
        path.write_bytes(_file(hostile, hostile.encoded))
        with suppress(NotPart10):
            read_header(path)
        with suppress(NotPart10, Undecodable):
            facts_of(read_file_header(path, FACT_TAGS))

    def _stow(self, hostile: Hostile) -> None:
        """Store the file as STOW-RS does."""
        files = Part10Writer(self._service, self, "FUZZ")
        parts = MultipartReader(b"limit", lambda headers: files)
        try:
            parts.write(b"--limit\r\nContent-Type: application/dicom\r\n\r\n")
            parts.write(_file(hostile, hostile.encoded))
            parts.write(b"\r\n--limit--\r\n")
            parts.finish()
        finally:
            parts.discard()
        (outcome,) = files.outcomes
        assert not (hostile.refused and outcome.refusal is None), "stored"

    def _pipeline(self, hostile: Hostile) -> None:
        """Read, check and decode two such slices as the worker does."""
        encoded = hostile.encoded, hostile.second or second(hostile.encoded)
        for path, each in zip(self._paths, encoded, strict=True):
            path.write_bytes(_file(hostile, each))
        for paths in find_series(self._folder).values():
            for volume in run_pipeline(paths):
                if hostile.stored is not None:
                    expected = hostile.stored + INTERCEPT_HU
                    np.testing.assert_array_equal(volume.hu, [expected] * 2)


class Bombs(HostileFiles):
    """Bombs: data sets that cost far more than their bytes."""

    name = "bombs"
    generators = BOMBS | CODESTREAMS


class Sizes(HostileFiles):
    """Headers that lie about sizes."""

    name = "lies about size"
    generators = SIZES


def _file(hostile: Hostile, encoded: bytes) -> bytes:
    uid = UIDS["SOPInstanceUID"]
    meta = bytearray(encode_header(CTImageStorage, uid, hostile.syntax, "FUZZ"))
    if hostile.meta_length is not None:
        struct.pack_into("<I", meta, META_LENGTH_AT, hostile.meta_length)
    return bytes(meta) + encoded

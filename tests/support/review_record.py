"""Series in every state, written to a database by the functions of ``db``."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shutil import copyfile
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from common.spool.layout import SeriesKey, instance_path, results_folder
from db import deliveries, outbox, registration
from db.completed_series import ArrivingSeries, CompletedSeries, SeriesFacts
from db.instances import NewInstance
from db.leases import Lease, finish_failed, finish_rejected, lease_series
from db.outbox import NewHip, NewScreening
from db.result_objects import NewObject
from worker.pipeline.reasons import Check, Reason, ReasonCode
from worker.pipeline.result_json import to_json
from worker.pipeline.results import Rejected

PICTURE = Path(__file__).parents[2] / "docs/images/capture.png"
GRADES = ("normal", "osteopenia", "osteoporosis")
PROBABILITIES = {
    "normal": (0.87, 0.11, 0.02),
    "osteopenia": (0.21, 0.64, 0.15),
    "osteoporosis": (0.02, 0.15, 0.83),
}
STUDY_DATE = date(2026, 11, 20)
ISSUER = "General Hospital"


@dataclass
class ReviewRecord:
    """Adds series to a database and a spool. Each is received one minute after ``at``."""

    sessions: sessionmaker[Session]
    spool_dir: Path
    at: datetime = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
    count: int = 0

    def received(self, *, images: int = 3, **facts: object) -> tuple[int, SeriesKey]:
        """Add a complete series that waits; ``facts`` are fields of ``SeriesFacts``."""
        self.count += 1
        self.at += timedelta(minutes=1)
        key = SeriesKey(f"1.2.826.{self.count}", f"1.2.826.{self.count}.7")
        series = CompletedSeries(
            study_instance_uid=key.study_instance_uid,
            series_instance_uid=key.series_instance_uid,
            instances=tuple(self._instance(key, number) for number in range(images)),
            facts=replace(self._facts(), **facts),  # type: ignore[arg-type]
            completed_by="quiet",
            calling_ae_title="CT_01",
            spool_mtime_ns=1,
        )
        with self.sessions.begin() as session:
            registered = registration.register_revision(
                session, series, now=self.at, actor="storescp"
            )
        return registered.series_id, key

    def receiving(self) -> int:
        """Add a series whose images are still arriving."""
        self.count += 1
        key = SeriesKey(f"1.2.826.{self.count}", f"1.2.826.{self.count}.7")
        self._instance(key, 0)
        with self.sessions.begin() as session:
            return registration.open_series(
                session,
                ArrivingSeries(key.study_instance_uid, key.series_instance_uid, "CT_01"),
                now=self.at,
                actor="storescp",
            )

    def screening(self, **facts: object) -> int:
        """Add a series that a worker is screening."""
        series_id, _ = self.received(**facts)
        self._lease(series_id)
        return series_id

    def screened(
        self,
        right: str | None,
        left: str | None,
        *,
        destinations: tuple[str, ...] = ("pacs",),
        picture: bool = True,
        **facts: object,
    ) -> int:
        """Add a screened series with its deliveries due; a hip without a grade has metal."""
        series_id, key = self.received(**facts)
        held = self._lease(series_id)
        if picture:
            folder = results_folder(self.spool_dir, key, held.revision)
            folder.mkdir(parents=True)
            copyfile(PICTURE, folder / "sc.png")
        grade = max((one for one in (right, left) if one), key=GRADES.index)
        hips = [hip("R", right), hip("L", left)]
        with self.sessions.begin() as session:
            outbox.save_screening(
                session,
                held,
                outbox.NewResult(_run(grade), hips, _objects(held), destinations),
                now=self.at,
            )
        return series_id

    def delivered(self, right: str | None, left: str | None, **facts: object) -> int:
        """Add a series whose report and picture the PACS accepted."""
        series_id = self.screened(right, left, **facts)  # type: ignore[arg-type]
        self.deliver(series_id)
        return series_id

    def deliver(self, series_id: int) -> None:
        """Mark all due deliveries of a series as accepted."""
        for one in self._claims(series_id):
            with self.sessions.begin() as session:
                outbox.mark_sent(session, one, status="0x0000", now=self.at)

    def refused(self, grade: str, **facts: object) -> int:
        """Add a series whose report and picture the PACS refused."""
        series_id = self.screened(grade, grade, **facts)  # type: ignore[arg-type]
        for one in self._claims(series_id):
            with self.sessions.begin() as session:
                outbox.mark_refused(
                    session,
                    one,
                    status="0x0122",
                    error="SOP class not supported",
                    now=self.at,
                )
        return series_id

    def rejected(self, code: str, text: str, *, images: int = 3, **facts: object) -> int:
        """Add a rejected series; only one with METAL has hips."""
        series_id, key = self.received(images=images, **facts)
        reason = {"code": code, "text": text}
        hips = [_unassessed(side, reason) for side in "RL"] if code == "METAL" else []
        entry = {"series_uid": key.series_instance_uid, "state": "rejected", "hips": hips}
        if not hips:  # a result with rules; the METAL ones are as an earlier version wrote them
            failed = Check("slices", text, ReasonCode(code))
            passed = Check("orientation", "Axial, oblique by 1.0°.")
            rejected = Rejected(
                key.series_instance_uid,
                Reason(ReasonCode(code), text),
                checks=(passed, failed),
            )
            entry = to_json(rejected)
        held = self._lease(series_id)
        with self.sessions.begin() as session:
            finish_rejected(
                session,
                held,
                reason_code=code,
                reason_text=text,
                now=self.at,
                run_values={"orientation": "coronal", "warnings": [], "result": entry},
            )
        return series_id

    def failed(self, *, images: int = 3) -> int:
        """Add a series whose screening ended with an error."""
        series_id, _ = self.received(images=images)
        held = self._lease(series_id)
        with self.sessions.begin() as session:
            finish_failed(
                session,
                held,
                error="MemoryError in load.py:88",
                now=self.at,
                max_attempts=1,
                retry_after=timedelta(0),
            )
        return series_id

    def _lease(self, series_id: int) -> Lease:
        with self.sessions.begin() as session:
            held = lease_series(
                session, series_id, leased_by="worker-1", now=self.at, lease_seconds=3600
            )
        assert held is not None
        return held

    def _claims(self, series_id: int) -> tuple[deliveries.Claim, ...]:
        with self.sessions.begin() as session:
            due = deliveries.due_deliveries(session, now=self.at, limit=100)
            taken = [
                deliveries.claim_deliveries(
                    session,
                    one,
                    leased_by="worker-1",
                    now=self.at,
                    lease_seconds=60,
                )
                for one in due
            ]
        return tuple(one for some in taken for one in some if one.series_id == series_id)

    def _instance(self, key: SeriesKey, number: int) -> NewInstance:
        uid = f"{key.series_instance_uid}.{number}"
        path = instance_path(self.spool_dir, key, uid)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"DICM")
        return NewInstance(
            sop_instance_uid=uid,
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            sha256=f"{self.count:032d}{number:032d}",
            bytes=524_288,
            received_at=self.at,
        )

    def _facts(self) -> SeriesFacts:
        return SeriesFacts(
            patient_id=f"PAT-{self.count:04d}",
            issuer_of_patient_id=ISSUER,
            patient_sex="F",
            patient_age_years=71.0,
            study_date=STUDY_DATE,
            accession_number=f"ACC-{self.count:04d}",
            series_number=4,
            series_description="Abdomen coronal 3.0",
            manufacturer="Siemens Healthineers",
            manufacturer_model_name="SOMATOM Force",
            convolution_kernel="Br36",
            kvp=120.0,
            slice_thickness_mm=3.0,
        )


def hip(side: str, grade: str | None, *, neck_hu: float = 104.0) -> NewHip:
    """Return a graded hip, or one with metal if ``grade`` is None."""
    if grade is None:
        text = "2.1 ml of metal at the hip."
        return NewHip(side, "not_assessable", reason_code="METAL", reason_text=text)
    normal, osteopenia, osteoporosis = PROBABILITIES[grade]
    return NewHip(
        side,
        "graded",
        grade=grade,
        probability_normal=normal,
        probability_osteopenia=osteopenia,
        probability_osteoporosis=osteoporosis,
        neck_hu=neck_hu,
        neck_sd_hu=37.0,
    )


def _unassessed(side: str, reason: dict[str, str]) -> dict[str, Any]:
    """Return a hip of ``result.json`` that is not assessable."""
    nothing = ("neck_mm", "slice", "crop", "neck_hu", "probabilities", "grade")
    found = {"side": side, "state": "not_assessable", "reason": reason}
    return {**found, "center_mm": [-90.1, 12.0, -40.5], **dict.fromkeys(nothing)}


def _run(grade: str) -> NewScreening:
    return NewScreening(
        orientation="coronal",
        grade=grade,
        model_name="osteoscreen-compact",
        model_version="1.0",
        model_modality="image",
        model_training_data="simulated CT of 800 simulated patients; no real patient",
        model_sha256="ab" * 32,
        result={"grade": grade, "hips": []},
        warnings=("Tube voltage 80 kVp is outside of the training data (100 to 140 kVp).",),
        timings_ms={"load": 120.0},
    )


def _objects(held: Lease) -> tuple[NewObject, ...]:
    folder = f"results/{held.study_instance_uid}/{held.series_instance_uid}/r{held.revision}"
    return tuple(
        NewObject(
            role=role,  # type: ignore[arg-type]
            sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
            sop_instance_uid=f"2.25.{held.screening_id}{number}",
            series_instance_uid=f"2.25.9{held.screening_id}{number}",
            path=f"{folder}/{role}.dcm",
        )
        for number, role in enumerate(("sr", "sc"))
    )

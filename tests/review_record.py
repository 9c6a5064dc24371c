"""A record as a ward has one: series in every state, made by the functions that make it so."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shutil import copyfile
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from db import claim, intake, outbox
from db.intake import CompletedSeries, NewInstance, SeriesFacts
from db.lease import Lease, finish_failed, finish_rejected, lease_series
from db.outbox import NewHip, NewObject, NewScreening
from db.spool import SeriesKey, instance_path, results_folder
from worker.pipeline.result_json import to_json
from worker.pipeline.results import Check, Reason, ReasonCode, Rejected

PICTURE = Path(__file__).parents[1] / "docs/images/capture.png"
GRADES = ("normal", "osteopenia", "osteoporosis")
PROBABILITIES = {
    "normal": (0.87, 0.11, 0.02),
    "osteopenia": (0.21, 0.64, 0.15),
    "osteoporosis": (0.02, 0.15, 0.83),
}
STUDY_DATE = date(2026, 11, 20)
SITE = "General Hospital"


@dataclass
class ReviewRecord:
    """Adds series to one database and spool; ``at`` : when they are received."""

    sessions: sessionmaker[Session]
    spool_dir: Path
    at: datetime = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
    count: int = 0

    def received(self, *, images: int = 3, **facts: object) -> tuple[int, SeriesKey]:
        """A complete series that waits; ``facts`` : of ``SeriesFacts``."""
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
            registered = intake.register_revision(
                session, series, now=self.at, actor="storescp"
            )
        return registered.series_id, key

    def receiving(self) -> int:
        """A series whose images are still arriving."""
        self.count += 1
        key = SeriesKey(f"1.2.826.{self.count}", f"1.2.826.{self.count}.7")
        self._instance(key, 0)
        with self.sessions.begin() as session:
            return intake.open_series(
                session,
                key.study_instance_uid,
                key.series_instance_uid,
                calling_ae_title="CT_01",
                now=self.at,
                actor="storescp",
            )

    def screening(self, **facts: object) -> int:
        """A series that a worker holds."""
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
        """A series with a grade a hip (None: metal), its deliveries due."""
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
                session, held, _run(grade), hips, _objects(held), destinations, now=self.at
            )
        return series_id

    def delivered(self, right: str | None, left: str | None, **facts: object) -> int:
        """A series whose report and picture are at the PACS."""
        series_id = self.screened(right, left, **facts)  # type: ignore[arg-type]
        self.deliver(series_id)
        return series_id

    def deliver(self, series_id: int) -> None:
        """The PACS accepts all that is due of a series."""
        for one in self._claims(series_id):
            with self.sessions.begin() as session:
                outbox.mark_sent(session, one, status="0x0000", now=self.at)

    def refused(self, grade: str, **facts: object) -> int:
        """A series whose PACS does not know us."""
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
        """A series that cannot be graded, with what was found of its hips."""
        series_id, key = self.received(images=images, **facts)
        reason = {"code": code, "text": text}
        hips = [_unassessed(side, reason) for side in "RL"] if code == "METAL" else []
        entry = {"series_uid": key.series_instance_uid, "state": "rejected", "hips": hips}
        if not hips:  # the others are as an earlier version left them
            broken = Check("slices", text, ReasonCode(code))
            kept = Check("orientation", "Axial, oblique by 1.0°.")
            because = Reason(ReasonCode(code), text)
            entry = to_json(Rejected(key.series_instance_uid, because, checks=(kept, broken)))
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
        """A series that ended by an error."""
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

    def _claims(self, series_id: int) -> tuple[claim.Claim, ...]:
        with self.sessions.begin() as session:
            due = claim.due_deliveries(session, now=self.at, limit=100)
            taken = [
                claim.claim_deliveries(
                    session,
                    one.screening_id,
                    one.destination,
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
            issuer_of_patient_id=SITE,
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
    """A graded hip, or one with metal."""
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
    """As the entry of ``result.json`` has it."""
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

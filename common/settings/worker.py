"""Settings of the worker."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    FilePath,
    InstanceOf,
    TypeAdapter,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import NoDecode

from common.dicom.series_rules import SeriesRule, SeriesRules, read_rules
from common.dicomnet.address import DicomwebPeer, DimsePeer, read_json, read_peer
from common.settings.base import SECRET, AeTitle, CommonSettings

NAME_PATTERN = r"^[A-Za-z0-9_.-]{1,64}$"


class DimseDestination(DimsePeer):
    """A PACS that accepts C-STORE. ``commitment`` : request it if the PACS offers it."""

    name: str = Field(pattern=NAME_PATTERN)
    commitment: bool = True


class DicomwebDestination(DicomwebPeer):
    """A PACS that accepts STOW-RS."""

    name: str = Field(pattern=NAME_PATTERN)


Destination = Annotated[DimseDestination | DicomwebDestination, Field(discriminator="kind")]
_DESTINATION: TypeAdapter[Destination] = TypeAdapter(Destination)


class WorkerSettings(CommonSettings):
    """Settings of the worker: model, destinations, limits and retention."""

    model_dir: Path | None = Field(
        Path(__file__).parents[2] / "worker/shipped",
        description="Folder of the model package; `none`: no model is used, and only the"
        " attenuation of the lumbar spine and of the femoral necks is measured"
        " ([measurement only](operations.md#measurement-only))",
    )
    shadow_model_dir: Path | None = Field(
        None,
        description="Folder of a candidate model that runs beside the live one; its predictions"
        " are recorded and not delivered",
    )
    ae_title: AeTitle = Field("OSTEOSCREEN", description="AE title of the worker")
    destinations: Annotated[tuple[Destination, ...], NoDecode] = Field(
        (),
        description="PACS that SR and SC are sent to: a JSON list of"
        ' `{"name", "kind": "dimse", "ae_title", "host", "port", "tls", "commitment"}` and'
        ' `{"name", "kind": "dicomweb", "url", "token"}`',
        repr=False,
        json_schema_extra=SECRET,
    )
    sr_sop_class: Literal["comprehensive3d", "comprehensive"] = Field(
        "comprehensive3d",
        description="SOP class of the report; `comprehensive` for older workstations",
    )
    parametric_map: bool = Field(
        False,
        description="Whether the heat map is also sent as a Parametric Map, for viewers that"
        " can overlay it on the CT",
    )
    key_objects: bool = Field(
        False,
        description="Whether a Key Object Selection is also sent, which names the result"
        " picture and the source slices, for workstations that ignore SR",
    )
    series_rules: Annotated[tuple[InstanceOf[SeriesRule], ...], NoDecode] = Field(
        (),
        description="Series that may be screened: a JSON list of"
        ' `{"include": {…}}` and `{"exclude": {…}}` with regular expressions for'
        " `description`, `protocol`, `station`, `kernel`, `body_part`, and"
        " `min_thickness_mm`, `max_thickness_mm`; all when empty"
        " ([recipes](deployment.md#series-that-are-screened))",
    )
    study_max_series: int = Field(
        3,
        ge=1,
        le=100,
        description="Series of a study that are screened at most until one grades both hips",
    )
    min_age: int = Field(
        18,
        ge=18,
        le=120,
        description="Minimum age of a patient, years; a younger one is rejected (`TOO_YOUNG`)",
    )
    opt_out_list: FilePath | None = Field(
        None,
        description="Text file (UTF-8) of patients that are not screened, one Patient ID a"
        " line; it is read again for each screening",
    )
    deliver: Literal["all", "low_density", "none"] = Field(
        "all",
        description="Reports that are sent: `all`; `low_density`: with a hip graded osteopenia"
        " or osteoporosis, or an uncertain one (not with a demonstration model), or without a"
        " graded hip with L1 at or under the lowest published limit; `none`:"
        " everything is recorded, nothing is sent"
        " ([screening policy](operations.md#screening-policy))",
    )
    repeat_months: int = Field(
        0,
        ge=0,
        le=120,
        description="Months in which no other report of the same patient is sent unless its"
        " grade is worse, or it grades no hip and L1 is at or under the lowest published limit;"
        " 0: all are sent",
    )
    retention_days: int = Field(
        30,
        ge=1,
        le=36_500,
        description="Days that the pixels of a finished series stay in the spool",
    )
    lease_seconds: int = Field(
        60,
        ge=5,
        le=3600,
        description="Time without a heartbeat after which a worker loses a series, s",
    )
    limit_seconds: int = Field(
        600,
        ge=10,
        le=86_400,
        description="Time limit of a screening, s; the process of a longer one is ended",
    )
    delivery_limit_seconds: int = Field(
        300,
        ge=1,
        le=86_400,
        description="Time limit of a delivery to one destination, s; a longer one is ended and"
        " tried again",
    )
    shutdown_seconds: int = Field(
        50,
        ge=1,
        le=86_400,
        description="Time to finish running tasks after SIGTERM, s; keep it 10 s below the"
        " grace period of systemd, Docker or Kubernetes",
    )
    sweep_seconds: float = Field(
        5.0,
        gt=0,
        le=3600,
        description="Pause between two sweeps for due series and deliveries, s",
    )
    max_attempts: int = Field(
        3, ge=1, description="Attempts to screen a series before it is failed"
    )
    study_reopen_hours: float = Field(
        24.0,
        ge=0,
        le=8760,
        description="Hours after a report in which a better series of the study replaces it;"
        " later only a changed series of the report, or one that may show a side that is not"
        " assessed",
    )

    @field_validator("model_dir", mode="before")
    @classmethod
    def _read_model_dir(cls, value: object) -> object:
        """Read ``none`` as no model; the folder of this name is ``./none``."""
        return None if value == "none" else value

    @field_validator("shadow_model_dir")
    @classmethod
    def _check_shadow_model_dir(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("model_dir", value) is None:
            raise ValueError("a candidate needs a live model (OSTEOSCREEN_MODEL_DIR is none)")
        return value

    @field_validator("destinations", mode="before")
    @classmethod
    def _read_destinations(cls, value: object) -> tuple[Destination, ...]:
        """Parse the list; the error names the entry and the problem without its token."""
        entries = read_json(value)
        if not isinstance(entries, Sequence) or isinstance(entries, str | bytes):
            raise ValueError("must be a JSON list")
        destinations = tuple(_destination(i, entry) for i, entry in enumerate(entries, 1))
        names = [destination.name for destination in destinations]
        if len(set(names)) < len(names):
            raise ValueError(f"names must be unique, got {', '.join(names)}")
        return destinations

    @field_validator("series_rules", mode="before")
    @classmethod
    def _read_series_rules(cls, value: object) -> SeriesRules:
        """Parse the list; the error names the rule and the problem."""
        return read_rules(read_json(value))

    def destination(self, name: str) -> Destination:
        """Return the destination with this name; raise KeyError if there is none."""
        return {destination.name: destination for destination in self.destinations}[name]


def _destination(number: int, entry: Any) -> Destination:
    if isinstance(entry, DimseDestination | DicomwebDestination):
        return entry
    return read_peer(_DESTINATION, entry, where=f"entry {number}:")

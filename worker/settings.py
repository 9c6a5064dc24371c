"""Settings of the worker."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, field_validator
from pydantic_settings import NoDecode

from db.settings import SECRET, CommonSettings
from peers.address import AE_TITLE_PATTERN, DicomwebPeer, DimsePeer, read_json, read_peer

NAME_PATTERN = r"^[A-Za-z0-9_.-]{1,64}$"


class DimseDestination(DimsePeer):
    """A PACS that takes C-STORE. ``commitment`` : ask for it, where it is offered."""

    name: str = Field(pattern=NAME_PATTERN)
    commitment: bool = True


class DicomwebDestination(DicomwebPeer):
    """A PACS that takes STOW-RS."""

    name: str = Field(pattern=NAME_PATTERN)


Destination = Annotated[DimseDestination | DicomwebDestination, Field(discriminator="kind")]
_DESTINATION: TypeAdapter[Destination] = TypeAdapter(Destination)


class WorkerSettings(CommonSettings):
    """Model, destinations, limits and retention."""

    model_dir: Path = Field(
        Path(__file__).parent / "shipped", description="Folder of the model package"
    )
    shadow_model_dir: Path | None = Field(
        None,
        description="Folder of a candidate model, asked beside the live one: what it says is"
        " recorded and not delivered",
    )
    ae_title: str = Field(
        "OSTEOSCREEN", description="Our Application Entity title", pattern=AE_TITLE_PATTERN
    )
    destinations: Annotated[tuple[Destination, ...], NoDecode] = Field(
        (),
        description="Where SR and SC are sent: a JSON list of"
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
        " lay one over the CT",
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
        description="A series is taken from a worker that was silent for so long",
    )
    limit_seconds: int = Field(
        600, ge=10, le=86_400, description="A screening that takes longer ends its process"
    )
    sweep_seconds: float = Field(
        5.0, gt=0, le=3600, description="Pause between two looks at what the record says is due"
    )
    max_attempts: int = Field(
        3, ge=1, description="Screenings of one series that may end in an error"
    )

    @field_validator("destinations", mode="before")
    @classmethod
    def _read_destinations(cls, value: object) -> tuple[Destination, ...]:
        """Say which destination is wrong and why, without its token."""
        entries = read_json(value)
        if not isinstance(entries, Sequence) or isinstance(entries, str | bytes):
            raise ValueError("a JSON list is wanted")
        destinations = tuple(_destination(i, entry) for i, entry in enumerate(entries, 1))
        names = [destination.name for destination in destinations]
        if len(set(names)) < len(names):
            raise ValueError(f"each name once, got {', '.join(names)}")
        return destinations

    def destination(self, name: str) -> Destination:
        """The destination of this name (KeyError where settings no longer list it)."""
        return {destination.name: destination for destination in self.destinations}[name]


def _destination(number: int, entry: Any) -> Destination:
    if isinstance(entry, DimseDestination | DicomwebDestination):
        return entry
    return read_peer(_DESTINATION, entry, where=f"entry {number}:")

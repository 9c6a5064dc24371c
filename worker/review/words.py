"""The record in plain words."""

from collections.abc import Mapping
from datetime import datetime

from db import standing
from db.states import DeliveryState, SeriesState

STATES: Mapping[str, str] = {
    SeriesState.RECEIVING: "Being received",
    SeriesState.QUEUED: "Waiting",
    SeriesState.SCREENING: "Being screened",
    SeriesState.SCREENED: "Screened",
    SeriesState.DELIVERED: "Delivered",
    SeriesState.REJECTED: "Rejected",
    SeriesState.FAILED: "Failed",
}
ENDED = standing.ENDED
STATE_MEANINGS: Mapping[str, str] = {
    SeriesState.RECEIVING: "Images are still arriving. Screening starts when the series is"
    " complete.",
    SeriesState.QUEUED: "The series is complete and waits for a worker.",
    SeriesState.SCREENING: "A worker is screening the series now.",
    SeriesState.SCREENED: "The result is there; report or picture are still to be sent to a"
    " destination.",
    SeriesState.DELIVERED: "Every destination has the report and the picture.",
    SeriesState.REJECTED: "The series cannot be graded. This is an answer, not a fault.",
    SeriesState.FAILED: "Screening ended by an error. An operator can have it screened again.",
}
GRADES: Mapping[str, str] = {
    "normal": "Normal",
    "osteopenia": "Osteopenia",
    "osteoporosis": "Osteoporosis",
}
SIDES: Mapping[str, str] = {"R": "Right hip", "L": "Left hip"}
DELIVERY_STATES: Mapping[str, str] = {
    DeliveryState.DUE: "to be sent",
    DeliveryState.SENT: "accepted",
    DeliveryState.CONFIRMED: "confirmed",
    DeliveryState.REFUSED: "refused",
}
ROLES: Mapping[str, str] = {
    "sr": "Report (SR)",
    "sc": "Picture (SC)",
    "pm": "Heat map in numbers",
}
COMPLETED_BY: Mapping[str, str] = {
    "quiet": "no image arrived for the quiet period",
    "released": "the sender ended its association and nothing followed",
    "count": "as many images are here as the source PACS counts",
    "scan": "found in the spool at a start or a periodic look",
}
REASONS: Mapping[str, str] = {
    "NOT_CT": "The images must be CT images of the body.",
    "LOCALIZER": "The series must be a volume, not a scout image or a dose report.",
    "TOO_FEW_SLICES": "There must be 10 slices or more.",
    "GAPS": "Slices must be evenly spaced and none may be missing.",
    "ORIENTATION": "Slices must be coronal or axial, within 20° and without gantry tilt.",
    "TOO_YOUNG": "The patient must be 18 years or older.",
    "METAL": "There must be no prosthesis, nail or screw at the hip.",
    "NO_FEMUR": "Head, neck and upper shaft of a femur must be in the field of view.",
    "MIXED": "All images must be of one patient, study, orientation and frame of reference.",
    "UNDECODABLE": "The pixel data must be readable as Hounsfield units.",
    "OUT_OF_DISTRIBUTION": "The hip must look like those that the model was trained on.",
}
EVENTS: Mapping[str, str] = {
    "opened": "first image arrived",
    "moved": "state changed",
    "sent": "accepted by the destination",
    "confirmed": "found at the destination",
    "refused": "refused by the destination",
    "deliveries_retried": "to be sent again",
}


def local(moment: datetime | None) -> str:
    """A time as the clock on the wall of this server shows it."""
    return "–" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def percent(value: float | None) -> str:
    """A probability or proportion, 0–1, in whole percent; only what is certain is 0 or 100."""
    if value is None:
        return "–"
    if 0 < value < 0.005:
        return "< 1 %"
    return "> 99 %" if 0.995 <= value < 1 else f"{100 * value:.0f} %"


def size(count: int) -> str:
    """Bytes in the unit that reads best."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count = count / 1000  # type: ignore[assignment]
    return f"{count:.1f} GB"

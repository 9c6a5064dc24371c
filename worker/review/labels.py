"""Labels of the pages for states, grades, reasons and events of the database."""

from collections.abc import Mapping

from db import queue_status
from db.states import DeliveryState, SeriesState, StudyState, WithdrawalReason

STATES: Mapping[str, str] = {
    SeriesState.RECEIVING: "Being received",
    SeriesState.QUEUED: "Waiting",
    SeriesState.SCREENING: "Being screened",
    SeriesState.SCREENED: "Screened",
    SeriesState.DELIVERED: "Delivered",
    SeriesState.REJECTED: "Rejected",
    SeriesState.FAILED: "Failed",
    SeriesState.NOT_SELECTED: "Not selected",
}
STUDY_STATES: Mapping[str, str] = {
    StudyState.COLLECTING: "Being received",
    StudyState.SCREENING: "Being screened",
    StudyState.REPORTED: "Reported",
    StudyState.DELIVERED: "Delivered",
    StudyState.NOTHING_TO_REPORT: "Nothing to report",
    StudyState.FAILED: "Failed",
}
ANY_STATES: Mapping[str, str] = {**STATES, **STUDY_STATES}
"""States by which the worklist is filtered."""
ENDED = (*queue_status.ENDED, *queue_status.STUDY_ENDED)
STATE_MEANINGS: Mapping[str, str] = {
    SeriesState.RECEIVING: "Images are still arriving. Screening starts when the series is"
    " complete.",
    SeriesState.QUEUED: "The series is complete and waits for a worker.",
    SeriesState.SCREENING: "A worker is screening the series now.",
    SeriesState.SCREENED: "The result is ready. The report or the picture has not been sent to"
    " every destination yet.",
    SeriesState.DELIVERED: "Every destination has the report and the picture.",
    SeriesState.REJECTED: "The series cannot be graded. This is a result, not an error.",
    SeriesState.FAILED: "Screening ended with an error. An operator can have the series"
    " screened again.",
    SeriesState.NOT_SELECTED: "Another series of the study was preferred for its report.",
}
WITHDRAWN_MEANING = "The result was withdrawn and no longer stands."
WITHHELD_MEANING = "The result is ready. The screening policy does not deliver it."
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
    DeliveryState.WAITING: "waits for the new report",
    DeliveryState.WITHDRAWN: "not sent, withdrawn",
}
WITHDRAWAL_REASONS: Mapping[str, str] = {
    WithdrawalReason.REPLACED: "Its images were completed or changed afterwards.",
    WithdrawalReason.WRONG_PATIENT: "The patient of the images was corrected afterwards.",
    WithdrawalReason.OPERATOR: "An operator withdrew it.",
    WithdrawalReason.MODEL: "The version of the model was recalled.",
}
OBJECT_ROLES: Mapping[str, str] = {
    "sr": "Report (SR)",
    "sc": "Result picture (SC)",
    "overlay": "Overlay picture (SC)",
    "pm": "Heat map values (parametric map)",
    "key": "Key images (KO)",
    "ko": "Rejection note (KO)",
}
COMPLETED_BY: Mapping[str, str] = {
    "quiet": "no image arrived for the quiet period",
    "released": "the sender released its association and no image followed",
    "count": "the number of images equals the count of the source PACS",
    "scan": "found in the spool at a start or a periodic scan",
}
REASONS: Mapping[str, str] = {
    "NOT_CT": "The images must be CT images of the body.",
    "LOCALIZER": "The series must be a volume, not a scout image or a dose report.",
    "TOO_FEW_SLICES": "There must be 10 slices or more.",
    "GAPS": "Slices must be evenly spaced and none may be missing.",
    "ORIENTATION": "Slices must be coronal or axial, within 20° and without gantry tilt.",
    "TOO_YOUNG": "The patient must have the minimum age of the site (18 years or more).",
    "OPTED_OUT": "The patient must not be on the opt-out list of the site.",
    "METAL": "There must be no prosthesis, nail or screw at the hip.",
    "NO_FEMUR": "Head, neck and upper shaft of a femur must be in the field of view.",
    "MIXED": "All images must be of one patient, study, orientation and frame of reference.",
    "UNDECODABLE": "The pixel data must be readable as Hounsfield units.",
    "OUT_OF_DISTRIBUTION": "The hip must look like those that the model was trained on.",
    "NO_MODEL": "A model must be installed to grade a hip; this site measures only.",
    "EXCLUDED": "The series must be among those that the site's SERIES_RULES allow.",
    "NOT_SELECTED": "No other series of the study is preferred.",
}
EVENTS: Mapping[str, str] = {
    "opened": "first image arrived",
    "moved": "state changed",
    "sent": "accepted by the destination",
    "confirmed": "found at the destination",
    "refused": "refused by the destination",
    "deliveries_retried": "to be sent again",
    "withdrawn": "result withdrawn",
    "content_held": "changed content of another sender held",
    "content_accepted": "changed content accepted",
    "content_refused": "changed content refused",
    "change_refused": "change refused: images are missing",
}


def state_meaning(state: str, *, is_withdrawn: bool, is_withheld: bool) -> str:
    """Return the meaning of the state of a series, by what became of its result."""
    if state in (SeriesState.SCREENED, SeriesState.DELIVERED):
        if is_withdrawn:
            return WITHDRAWN_MEANING
        if is_withheld:
            return WITHHELD_MEANING
    return STATE_MEANINGS[state]

"""One series in each state for the tests of the review page."""

from dataclasses import dataclass

from tests.support.review_record import ReviewRecord


@dataclass(frozen=True)
class ExampleSeries:
    """IDs of the series."""

    delivered: int
    one_hip: int
    refused: int
    rejected: int
    rejected_early: int
    failed: int
    receiving: int
    queued: int
    screening: int
    without_files: int


def add_example_series(record: ReviewRecord) -> ExampleSeries:
    """Add one series in each state."""
    return ExampleSeries(
        delivered=record.delivered("osteoporosis", "osteopenia"),
        one_hip=record.delivered("normal", None),
        refused=record.refused("osteopenia"),
        rejected=record.rejected("METAL", "41 ml of metal in place of the right hip."),
        rejected_early=record.rejected("TOO_FEW_SLICES", "8 slices, 10 are needed."),
        failed=record.failed(),
        receiving=record.receiving(),
        queued=record.received()[0],
        screening=record.screening(),
        without_files=record.delivered("normal", "normal", picture=False, images=0),
    )

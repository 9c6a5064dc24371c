"""The content tree of our SR and KO: items by the codes of their concept names."""

from collections.abc import Iterator

from pydicom import Dataset

from worker.pipeline.results import Grade

GRADES = {
    "17621005": Grade.NORMAL,
    "312894000": Grade.OSTEOPENIA,
    "64859006": Grade.OSTEOPOROSIS,
}
LEVELS = {
    "66794005": "L1", "14293000": "L2", "36470004": "L3", "11994002": "L4", "49668003": "L5",
    "122496007": "lumbar",
}  # fmt: skip
REGION_SIDES = {"24028007": "R", "7771000": "L"}


def items(tree: Dataset) -> Iterator[Dataset]:
    """Yield every content item below an item, depth first."""
    for item in tree.get("ContentSequence", ()):
        yield item
        yield from items(item)


def name(item: Dataset) -> str:
    """Return the code value of an item's concept name."""
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def value(item: Dataset) -> str:
    """Return the code value of a CODE item."""
    return str(item.ConceptCodeSequence[0].CodeValue)


def named(tree: Dataset, code_value: str) -> list[Dataset]:
    """Return all items with one concept name."""
    return [item for item in items(tree) if name(item) == code_value]


def groups(sr: Dataset) -> list[Dataset]:
    """Return the measurement groups."""
    return named(sr, "125007")


def hip_groups(sr: Dataset) -> list[Dataset]:
    """Return the measurement groups of femurs and necks."""
    return [group for group in groups(sr) if not level_of(group)]


def level_of(group: Dataset) -> str:
    """Return the level of the group of a vertebra, ``""`` for that of a hip.

    ``"lumbar"`` where the level is uncertain.
    """
    return LEVELS.get(value(named(group, "363698007")[0]), "")


def not_evaluated(sr: Dataset) -> list[Dataset]:
    """Return the evaluations of hips that were not graded."""
    return [item for item in named(sr, "BMD_CLASS") if value(item) == "373121007"]


def side_of(group: Dataset) -> str:
    """Return R or L for a group or an evaluation, empty for both sides."""
    return REGION_SIDES.get(value(named(group, "272741003")[0]), "")


def grade_of(group: Dataset) -> Grade | None:
    """Return the grade of the group of a hip."""
    return GRADES.get(value(named(group, "BMD_CLASS")[0]))


def rejected_by(note: Dataset) -> list[str]:
    """Return the SOP Instance UIDs that a rejection note refers to."""
    return [
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in note.ContentSequence
        if "ReferencedSOPSequence" in item
    ]


def predecessor_of(report: Dataset) -> str:
    """Return the SOP Instance UID of the one report that this one replaces."""
    (study,) = report.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (replaced,) = series.ReferencedSOPSequence
    return str(replaced.ReferencedSOPInstanceUID)

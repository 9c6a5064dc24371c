"""Scene: regions beyond trunk and thighs."""

from tests.support.simulated import standard_patient, standard_scan
from training.simulate.scene import scene


def test_scan_of_the_pelvis_has_neither_shoulders_nor_knees() -> None:
    subject = standard_patient()
    plain, chest, legs = (
        sum(len(parts) for parts in scene(subject, standard_scan(subject, view)))
        for view in ("abdomen-pelvis", "chest", "knees")
    )

    assert plain < legs < chest

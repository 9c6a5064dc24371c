"""Scene of a subject: all its parts in painting order."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from training.simulate.acquisition import Acquisition
from training.simulate.anatomy import knees, shoulders
from training.simulate.anatomy.arms import arm_parts
from training.simulate.anatomy.body import body_parts
from training.simulate.anatomy.femur import femur_part
from training.simulate.anatomy.frames import body_frame
from training.simulate.anatomy.implants import implant_parts
from training.simulate.anatomy.lumbar_spine import lumbar_parts
from training.simulate.anatomy.muscles import muscle_parts
from training.simulate.anatomy.organs import organ_parts
from training.simulate.anatomy.pelvis import hemipelvis_part, sacrum_part
from training.simulate.anatomy.trunk import rib_parts, spine_parts
from training.simulate.geometry.painting import Part
from training.simulate.lumbar import SpineSubject
from training.simulate.subject import Subject

Region = Literal["shoulders", "knees"]


def scene(subject: Subject, acquisition: Acquisition) -> tuple[Sequence[Part], Sequence[Part]]:
    """Return the soft and the bony parts.

    Shoulders and knees are included only where the scan reaches them.
    """
    z, s = float(body_frame(subject).origin[2]), subject.body.scale
    low, high = acquisition.scan_mm
    regions: set[Region] = set()
    if high > z + shoulders.FROM_MM * s:
        regions.add("shoulders")
    if low < z + knees.FROM_MM * s:
        regions.add("knees")
    return _parts(subject, acquisition.kvp, frozenset(regions))


def _spine(subject: Subject, kvp: int) -> list[Part]:
    if isinstance(subject, SpineSubject):
        upper = rib_parts(subject, kvp)[3:]
        return [*lumbar_parts(subject, kvp), *upper]
    return [*spine_parts(subject, kvp), *rib_parts(subject, kvp), sacrum_part(subject, kvp)]


@lru_cache(maxsize=4)
def _parts(
    subject: Subject, kvp: int, regions: frozenset[Region]
) -> tuple[Sequence[Part], Sequence[Part]]:
    soft = [*body_parts(subject, muscle_parts(subject)), *organ_parts(subject, kvp)]
    bones = _spine(subject, kvp)
    bones += [hemipelvis_part(subject, hip, kvp) for hip in subject.hips]
    bones += [femur_part(subject, hip, kvp) for hip in subject.hips]
    bones += [part for hip in subject.hips for part in implant_parts(subject, hip)]
    if "shoulders" in regions:
        flesh, girdle = shoulders.shoulder_parts(subject, kvp)
        soft += flesh
        bones += girdle
    if "knees" in regions:
        flesh, legs = knees.knee_parts(subject, kvp)
        soft += flesh
        bones += legs
    flesh, arm_bones = arm_parts(subject, kvp)
    soft += flesh
    bones += arm_bones
    return tuple(soft), tuple(bones)

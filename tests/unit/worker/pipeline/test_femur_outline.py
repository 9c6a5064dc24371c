"""Covered: the outline on a phantom, its place and size. Not covered: outlines on real CT
(decision 0032)."""

import numpy as np
import pytest

from tests.support.factories import make_ct_headers, phantom_femur, plane_of_phantom
from tests.support.hip_phantom import HEADS_MM, coronal_plane, make_volume
from worker.pipeline.femur_outline import femur_outline
from worker.pipeline.polygon import pixels_inside
from worker.pipeline.volume import Side


@pytest.mark.parametrize("side", ["R", "L"])
def test_outline_encloses_the_bone_of_the_phantom(side: Side) -> None:
    plane = plane_of_phantom()
    outline_mm = femur_outline(plane, phantom_femur(side))
    assert outline_mm is not None
    index = plane.to_index(outline_mm)
    inside = pixels_inside(index, plane.hu.shape)

    # Bone, of muscle of 40 HU and cortex of 900 HU around 160 HU, above the lower end.
    rows, columns = np.indices(plane.hu.shape)
    x_mm = plane.to_mm(np.stack([rows, columns], axis=-1))[..., 0]
    own = (x_mm < 0) == (side == "R")
    above = rows < index[:, 0].max() - 2
    bone = (plane.hu > 100) & own & above
    overlap = 2 * (inside & bone).sum() / (inside.sum() + bone.sum())
    assert overlap > 0.93
    assert len(outline_mm) >= 9
    assert len(set(outline_mm)) == len(outline_mm)


def test_vertices_lie_on_the_plane_and_inside_it() -> None:
    plane = plane_of_phantom()
    outline_mm = np.array(femur_outline(plane, phantom_femur("L")))
    index = plane.to_index(outline_mm)

    np.testing.assert_allclose(plane.to_mm(index), outline_mm, atol=1e-6)
    assert (index >= 0).all()
    assert (index <= np.array(plane.hu.shape) - 1).all()


def test_plane_beside_the_head_has_no_outline() -> None:
    volume = make_volume(make_ct_headers(slices=40))
    depth_mm = [float(volume.to_mm((i, 0, 0))[1]) for i in range(40)]
    far = next(i for i, y in enumerate(depth_mm) if abs(y - HEADS_MM["L"][1]) > 24)

    assert femur_outline(coronal_plane(volume, far), phantom_femur("L")) is None

from __future__ import annotations

import numpy as np
import pytest

from mepipe.qc import regions
from tests.qc.face import face


def test_cells_are_means_or_medians_of_the_pixels_below() -> None:
    picture = np.arange(224 * 224, dtype=np.float64).reshape(224, 224)
    found = regions.cells(picture)
    assert found.shape == (56, 56)
    assert found[3, 5] == pytest.approx(picture[12:16, 20:24].mean())
    picture[12, 20] = 1e9
    assert regions.cells(picture, np.median)[3, 5] < 4e3


@pytest.mark.parametrize("size", [64, 100, 224, 256, 500])
def test_parts_of_a_face_are_where_they_are_drawn_whatever_the_crop(size: int) -> None:
    found = face(size)
    scale = 224 / size
    unit = (found.side * scale) ** 2  # px of 224 in a cell
    assert found.face.sum() * unit == pytest.approx(np.pi * 88 * 100, rel=0.05)
    assert not (found.skin & (found.lids[0] | found.lids[1])).any()
    assert (found.face | ~found.skin).all()
    for lid, middle in zip(found.lids, (-38, 38), strict=True):
        assert found.x[lid].mean() == pytest.approx(middle, abs=2.5)
        assert -50 < found.y[lid].mean() < -20
    assert found.depth.max() == pytest.approx(1.2 * 88, rel=0.02)
    assert found.pixels(found.face).shape[0] <= size

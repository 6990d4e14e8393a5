"""The yardstick of magnification: it finds what was put in."""

from __future__ import annotations

import numpy as np
import pytest

from mepipe.networks import magnet_quality as quality
from mepipe.networks.magnet_quality import Case


@pytest.mark.parametrize("kind", ["shift", "local"])
def test_the_truly_magnified_frame_realises_the_factor_and_is_like_itself(kind: str) -> None:
    case = Case("astronaut", kind, 0.5)
    found = quality.score(case, 5.0, lambda onset, apex, factor: case.frame(factor))
    assert found.realised == pytest.approx(5, rel=0.01)  # the search ends at half a percent of the factor
    assert found.ssim == pytest.approx(1)
    assert found.error == 0


def test_an_apex_left_as_it_is_realises_a_factor_of_1() -> None:
    case = Case("hopper", "local", 0.5)
    assert quality.score(case, 3.0, lambda onset, apex, factor: apex).realised == pytest.approx(1, rel=0.02)


def test_linear_magnification_is_right_for_small_motion_and_too_small_for_large() -> None:
    small, large = (
        quality.score(Case("rocket", "shift", motion), 5.0, quality.linear).realised for motion in (0.02, 1.0)
    )
    assert small == pytest.approx(5, rel=0.03)
    assert large < 4


def test_a_rigid_shift_moves_every_pixel_by_the_motion_times_the_factor() -> None:
    """By 5 px at (0.8, 0.6) of the motion: by whole pixels, so that frames can be compared without interpolation."""
    case = Case("gravel", "shift", 5.0)
    still, moved = case.frame(0), case.frame(1)
    np.testing.assert_allclose(moved[13:-10, 14:-10], still[10:-13, 10:-14], atol=1e-4)

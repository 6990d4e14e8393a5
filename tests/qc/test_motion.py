from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mepipe.qc import motion
from tests.qc.face import face

FACE = face()
PIXELS = st.floats(-3, 3)


def whole(shift: tuple[float, float], growth: float, rotation: float) -> np.ndarray:
    """The flow of a head that moves in the picture's plane: [2, n, n]."""
    u = shift[0] + growth * FACE.x - rotation * FACE.y
    return np.stack([u, shift[1] + growth * FACE.y + rotation * FACE.x])


def bump(x: float, y: float, radius: float) -> np.ndarray:
    """A smooth hill of height 1: [n, n]."""
    return np.clip(1 - ((FACE.x - x) ** 2 + (FACE.y - y) ** 2) / radius**2, 0, 1) ** 2


@given(PIXELS, PIXELS, st.floats(-0.03, 0.03), st.floats(-0.03, 0.03))
def test_a_rigid_flow_is_measured_as_such(right: float, down: float, growth: float, rotation: float) -> None:
    flow = whole((right, down), growth, rotation)
    found = motion.head(flow[None], FACE)
    assert found.rigid[0] == pytest.approx(np.sqrt(np.square(flow[:, FACE.skin]).sum(axis=0).mean()), abs=1e-6)
    assert found.turn[0] == pytest.approx(0, abs=1e-6)
    assert np.abs(found.rest[0][:, FACE.skin]).max() < 1e-6


@given(st.floats(-8, 8), st.floats(-8, 8))
def test_a_turn_is_measured_in_degrees(side: float, up: float) -> None:
    depth = FACE.depth - FACE.depth[FACE.skin].mean()
    flow = np.stack([np.deg2rad(side) * depth, np.deg2rad(up) * depth])
    found = motion.head(flow[None], FACE)
    assert found.turn[0] == pytest.approx(np.hypot(side, up), abs=1e-6)
    assert found.rigid[0] == pytest.approx(0, abs=1e-6)


@given(st.floats(-60, 60), st.floats(20, 70), st.floats(-3, 3))
def test_what_moves_on_its_own_is_left_alone(x: float, y: float, by: float) -> None:
    hill = by * bump(x, y, 32)
    flow = whole((0.3, -0.2), 0.002, 0.001) + np.stack([hill, hill / 2])
    found = motion.head(flow[None], FACE)
    assert found.rigid[0] == pytest.approx(
        np.sqrt(np.square(whole((0.3, -0.2), 0.002, 0.001)[:, FACE.skin]).sum(0).mean()), abs=0.04
    )
    assert np.abs(found.rest[0] - [hill, hill / 2])[:, FACE.skin].max() < 0.15


def test_the_course_is_the_main_motion_where_it_is_largest() -> None:
    amounts = np.sin(np.linspace(0.2, 2.8, 15)) * 1.7
    field = np.stack([0.6 * bump(-30, 50, 35), -0.8 * bump(-30, 50, 35)])
    flow = amounts[:, None, None, None] * field
    peak = np.hypot(*field[:, FACE.skin]).max()
    np.testing.assert_allclose(motion.course(flow, FACE), amounts * peak, rtol=1e-6)
    np.testing.assert_allclose(motion.course(-flow, FACE), amounts * peak, rtol=1e-6)


def test_lids_go_down_only_where_both_do() -> None:
    rest = np.zeros((2, 2, *FACE.skin.shape))
    rest[0, 1, FACE.lids[0]] = 5
    rest[1, 1, FACE.lids[0]], rest[1, 1, FACE.lids[1]] = 5, 3
    np.testing.assert_allclose(motion.lids(rest, FACE), [0, 3])


def test_the_peak_is_the_nearest_moment_of_nearly_most_motion() -> None:
    times, curve = np.arange(8.0), np.array([0, 1, 5, 9.5, 10, 9.2, 3, 0])
    assert [motion.peak_time(curve, times, apex) for apex in (0, 3, 4.6, 7)] == [3, 3, 5, 5]


def test_lids_that_go_down_and_soon_up_again_blink() -> None:
    seconds = np.arange(21) / 40
    down = 6 * np.exp(-(((seconds - 0.2) / 0.05) ** 2))
    assert motion.blink(down, seconds) == pytest.approx((6, 0.2), abs=1e-3)
    assert motion.blink(np.linspace(0, 6, 21), seconds)[0] == 0  # they stay down
    assert motion.blink(-down, seconds)[0] == pytest.approx(0, abs=1e-9)  # wide open and back
    assert motion.blink(down, 10 * seconds)[0] == 0  # two seconds: somebody looks down


@given(st.lists(st.floats(-9, 9), min_size=2, max_size=20))
def test_a_blink_is_never_larger_than_what_lids_do(course: list[float]) -> None:
    down = np.array([0.0, *course])
    size, when = motion.blink(down, np.arange(len(down)) / 30)
    assert 0 <= size <= np.ptp(down)
    assert 0 <= when < len(down) / 30


def test_few_wild_pixels_are_no_exploding_flow_and_many_are() -> None:
    flow = np.zeros((3, 2, 224, 224), np.float16)
    rows, columns = np.nonzero(FACE.pixels(FACE.skin))
    flow[1, 0, rows[:10], columns[:10]] = 300
    assert motion.fastest(flow, FACE) == 0
    assert np.abs(motion.flow_cells(flow)).max() < 300
    flow[1, 0, rows[:300], columns[:300]] = 300
    assert motion.fastest(flow, FACE) == 300
    flow[1, 0, rows[:300], columns[:300]] = np.nan
    assert motion.fastest(flow, FACE) > 1e4
    assert np.isfinite(motion.flow_cells(flow)).all()


def test_pixels_are_those_of_a_crop_of_224_whatever_the_crop() -> None:
    large = face(448)
    flow = np.ones((1, 2, 448, 448), np.float32)
    assert motion.fastest(flow, large) == pytest.approx(np.sqrt(2) / 2, rel=1e-6)
    assert motion.head(motion.flow_cells(flow), large).rigid[0] == pytest.approx(np.sqrt(2) / 2, rel=1e-6)

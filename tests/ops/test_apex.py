from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mepipe.datasets.demo.portraits import someone
from mepipe.datasets.demo.render import ClipSpec, clip
from mepipe.errors import SampleError
from mepipe.ops import apex
from mepipe.ops.align import Aligned, align
from mepipe.ops.landmarks import FaceMesh

FPS = 200.0
LEFT_PUPIL, NOSE_TIP, MOUTH_CORNER, BROW, CHIN_TOP = 468, 4, 61, 105, 200
# Issue: median <= 2 frames, 95th percentile <= 8, over many clips (benchmarks/accuracy_apex.py). These are within 2.
NEAR = 2


@cache
def spec(aus: str = "12", peak: float = 1.0, frames: int = 33, index: int = 13) -> ClipSpec:
    return ClipSpec(someone(1, 0), aus=aus, peak=peak, frames=frames, apex=index, residual=0.1, rise=0.9, fall=1.2)


@cache
def _aligned(of: ClipSpec, mesh: FaceMesh) -> Aligned:
    frames, _ = clip(of)
    return align(enumerate(frames[..., None]), mesh)


def spot(found: Aligned, frames: np.ndarray | None = None, method: apex.Method = "peak") -> apex.Spotted:
    return apex.spot(found.frames[..., 0] if frames is None else frames, found.landmarks, FPS, method)


# Of the last, flow is taken to frames 40 and 47: its apex lies between.
@pytest.mark.parametrize("method", ["peak", "divide-and-conquer"])
@pytest.mark.parametrize("of", [spec("1+2"), spec("4", peak=0.5), spec("12", frames=101, index=43)])
def test_the_apex_is_found_where_the_expression_peaks(mesh: FaceMesh, of: ClipSpec, method: apex.Method) -> None:
    found = spot(_aligned(of, mesh), method=method)
    assert abs(found.apex - of.apex) <= NEAR
    # The curve follows the true course, of which it knows nothing.
    truth = clip_course(of)[found.at.astype(int)]
    assert np.corrcoef(found.curve, truth)[0, 1] > 0.98
    assert found.share > 0.75


def clip_course(of: ClipSpec) -> np.ndarray:
    from mepipe.datasets.demo.render import truth_of

    return truth_of(of).course


def test_what_happens_in_the_eyes_does_not_count(mesh: FaceMesh) -> None:
    """Lids that go down over the eyes after the apex, by far more than the expression moves."""
    found = _aligned(spec(), mesh)
    frames = found.frames[..., 0].copy()
    for upper, lower, corners in ((159, 145, (33, 133)), (386, 374, (263, 362))):
        points = found.landmarks
        top, bottom = int(points[upper, 1]) - 2, int(points[lower, 1]) + 2
        left, right = np.sort(points[list(corners), 0]).astype(int)
        for index in range(20, 32):
            skin = frames[index, top - 4 : top, left:right]
            shut = min(index - 20, 31 - index) / 6
            height = max(1, round(shut * (bottom - top)))
            frames[index, top : top + height, left:right] = cv2.resize(skin, (right - left, height))
    assert not np.array_equal(frames, found.frames[..., 0])
    assert abs(spot(found, frames).apex - spot(found).apex) <= 1


def test_a_head_that_sways_on_is_told_from_the_expression(mesh: FaceMesh) -> None:
    """Motion that alignment left: by turning and growing, which goes on when the expression has passed its apex."""
    found = _aligned(spec(), mesh)
    frames = [
        cv2.warpAffine(frame, cv2.getRotationMatrix2D((112, 112), 0.03 * index, 1 + 3e-4 * index), (224, 224), flags=4)
        for index, frame in enumerate(found.frames[..., 0])
    ]
    moved = 100 * (np.deg2rad(0.03) * 32)
    assert moved > spec().peak  # px at the rim of the face at the end: more than the expression
    assert abs(spot(found, np.stack(frames)).apex - spec().apex) <= NEAR


def test_brows_nose_mouth_and_chin_count_and_eyes_and_background_do_not(mesh: FaceMesh) -> None:
    found = _aligned(spec(), mesh)
    counts = apex.regions(found.landmarks, (224, 224))
    column, row = np.rint(found.landmarks).astype(int).T
    assert counts[row[[NOSE_TIP, MOUTH_CORNER, BROW, CHIN_TOP]], column[[NOSE_TIP, MOUTH_CORNER, BROW, CHIN_TOP]]].all()
    assert not counts[row[LEFT_PUPIL], column[LEFT_PUPIL]]
    lid = (row[159] + row[105]) // 2  # skin between lid and brow, which a blink pulls down
    assert not counts[(row[159] + lid) // 2, column[159]]
    assert not counts[[0, 0, -1, -1], [0, -1, 0, -1]].any()


def test_noise_alone_is_told_by_its_small_peak(mesh: FaceMesh) -> None:
    of = ClipSpec(someone(1, 0), aus="12", peak=1e-4, frames=24, apex=10)
    # `manifest spot` doubts what is below 0.1 px; an expression of 0.5 px gives 0.26 and more.
    assert spot(_aligned(of, mesh)).peak < 0.1


def test_frames_of_a_clip_cut_at_its_apex_have_it_at_the_end(mesh: FaceMesh) -> None:
    found = _aligned(spec(), mesh)
    assert abs(spot(found, found.frames[: spec().apex + 1, ..., 0]).apex - spec().apex) <= 1


@pytest.mark.parametrize(("count", "message"), [(2, "2 frames"), (5, "nothing moves in 5 frames")])
def test_too_few_frames_and_a_still_picture_are_refused(mesh: FaceMesh, count: int, message: str) -> None:
    found = _aligned(spec(), mesh)
    with pytest.raises(SampleError, match=message):
        spot(found, np.repeat(found.frames[:1, ..., 0], count, axis=0))


def test_landmarks_beside_the_picture_are_refused(mesh: FaceMesh) -> None:
    found = _aligned(spec(), mesh)
    with pytest.raises(SampleError, match="no part of the face"):
        apex.spot(found.frames[:5, ..., 0], found.landmarks + 1000, FPS)


curves = st.lists(st.floats(-1, 5, width=16), min_size=1, max_size=40).map(np.array)


@given(curves)
def test_divide_and_conquer_ends_at_a_peak(curve: np.ndarray) -> None:
    index = apex.divide_and_conquer(curve)
    assert curve[index] >= max(curve[max(index - 1, 0)], curve[min(index + 1, len(curve) - 1)])


@given(st.lists(st.floats(0.1, 1), min_size=1, max_size=20), st.lists(st.floats(0.1, 1), min_size=0, max_size=20))
def test_of_a_curve_with_one_peak_both_methods_take_it(up: list[float], down: list[float]) -> None:
    curve = np.concatenate([np.cumsum(up), sum(up) - np.cumsum(down)])
    assert apex.divide_and_conquer(curve) == np.argmax(curve) == len(up) - 1

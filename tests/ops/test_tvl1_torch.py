"""TV-L1 on a Torch device against known motion, against the processor's path, and against OpenCV, part by part.

The device here is "cpu:0", by which Torch means the processor: the same code as on a GPU, not the same arithmetic.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mepipe.ops import tvl1
from tests.ops.test_tvl1 import SIZE, STILL, as_bytes, bump, distance, recorded, seen, texture

torch = pytest.importorskip("torch")
from mepipe.ops import _tvl1_torch  # noqa: E402

DEVICE = "cpu:0"
# Mean distance in pixels to the processor's path. `opencv` has a stopping rule, and reads zeros beyond the border:
# there .0001 grey levels of noise move the processor's own result by .011-.015 px, and with `micro` by .002-.007.
NEAR = {"micro": 0.01, "opencv": 0.025}

# OpenCV 5 looks up exactly, and what rounding leaves then grows from the border where frames are read as zero beyond
# it (preset `opencv`): .0001 grey levels of noise move the processor's own result by .01 px, on a still frame by .6.
EXACT = int(cv2.__version__.split(".")[0]) >= 5


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So that small arrays do not wait for other processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def face() -> np.ndarray:
    """A real face's texture, at twice the size of a frame: float32 [2 * SIZE, 2 * SIZE]."""
    from skimage.data import astronaut

    gray = cv2.cvtColor(astronaut(), cv2.COLOR_RGB2GRAY)
    return gray[40 : 40 + 2 * SIZE, 128 : 128 + 2 * SIZE].astype(np.float32)


def clip(hidden: np.ndarray, noisy: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reference, targets and the true motion, which comes and goes."""
    truth = bump(1.2, -0.8) * (np.sin(np.linspace(0, np.pi, 6)[1:-1]) ** 2).astype(np.float32)[:, None, None, None]
    frames = [seen(hidden, field) for field in (STILL, *truth)]
    frames = [recorded(f, i) if noisy else f for i, f in enumerate(frames)]
    return frames[0], np.stack(frames[1:]), truth


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("preset", list(tvl1.PRESETS))
def test_agrees_with_the_processor_and_is_as_near_to_the_truth(preset: str, noisy: bool) -> None:
    errors = []
    for hidden in (face(), texture(0), texture(1)):
        reference, targets, truth = clip(hidden, noisy)
        expected = tvl1.flow(reference, targets, preset, "exact")
        found = tvl1.flow(reference, targets, preset, "exact", DEVICE)
        assert distance(found, expected) < NEAR[preset]
        errors.append((distance(found, truth), distance(expected, truth)))
    on_device, on_processor = np.mean(errors, axis=0)
    assert on_device <= 1.03 * on_processor


def test_clip_mode_is_near_the_processors_which_starts_warm() -> None:
    reference, targets, _ = clip(face(), noisy=True)
    # Two solvers of one problem that stop early: see the test of clip mode against exact mode.
    assert distance(tvl1.flow(reference, targets, device=DEVICE), tvl1.flow(reference, targets)) < 0.04


SCHEMES = {
    "gradients of the target": tvl1.PRESETS["opencv"],
    "with Huber": replace(tvl1.PRESETS["opencv"], huber=0.05),
    "rule asked every 4th": replace(tvl1.PRESETS["opencv"], fused=4, epsilon=0.02),
    "mean gradients": tvl1.PRESETS["micro"],
    "mean gradients, all filters": replace(tvl1.PRESETS["micro"], median=True, outer=3, epsilon=0.01, fused=1),
    "total variation, all detail": replace(tvl1.PRESETS["micro"], huber=0.0, detail=0.0),
}


@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_every_parameter_means_the_same(scheme: str) -> None:
    reference, targets, _ = clip(face(), noisy=False)
    # What rounding does grows from scale to scale, and under noise (see NEAR): here it moves the flow by .0005 px.
    preset = replace(SCHEMES[scheme], scales=1)
    expected, settled = tvl1.flow_with_report(reference, targets, preset, "exact")
    found, also_settled = tvl1.flow_with_report(reference, targets, preset, "exact", DEVICE)
    assert distance(found, expected) < (0.015 if EXACT and not preset.mean_gradient else 0.001)
    np.testing.assert_array_equal(settled, also_settled)


@pytest.mark.parametrize("preset", list(tvl1.PRESETS))
def test_pairs_do_not_touch_each_other(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reference, targets, _ = clip(texture(3), noisy=True)
    together = tvl1.flow(reference, targets, preset, device=DEVICE)
    monkeypatch.setattr(_tvl1_torch, "BATCH", 1)  # each pair a batch: none waits for another
    # Products of other sizes may round otherwise.
    assert distance(tvl1.flow(reference, targets, preset, device=DEVICE), together) < NEAR[preset]
    assert distance(tvl1.flow(reference, targets[::-1], preset, device=DEVICE)[::-1], together) < NEAR[preset]


@pytest.mark.parametrize("preset", list(tvl1.PRESETS))
def test_a_still_face_has_no_flow(preset: str) -> None:
    if EXACT and not tvl1.PRESETS[preset].mean_gradient:
        pytest.skip("not on the processor either, where OpenCV looks up exactly and something rounds")
    frame = as_bytes(seen(texture(4), STILL))
    found, settled = tvl1.flow_with_report(frame, np.stack([frame] * 3), preset, device=DEVICE)
    assert np.abs(found).max() < 0.001  # a place in the frame is good to 1e-5 px
    assert settled.all()


def test_reports_a_pair_that_has_not_settled() -> None:
    reference, other = (as_bytes(seen(texture(seed), STILL)) for seed in (7, 8))
    _, settled = tvl1.flow_with_report(reference, np.stack([reference, other]), device=DEVICE)
    assert settled.tolist() == [True, False]


def test_no_targets_give_no_flow() -> None:
    frame = texture(5, 16)
    assert tvl1.flow(frame, np.empty((0, 32, 32), np.float32), device=DEVICE).shape == (0, 2, 32, 32)


@given(st.integers(16, 90), st.integers(16, 90), st.sampled_from([0.5, 0.8, 0.6]), st.integers(0, 9))
def test_planes_are_resized_and_blurred_as_opencv_does(height: int, width: int, step: float, seed: int) -> None:
    plane = np.random.default_rng(seed).uniform(0, 255, (height, width)).astype(np.float32)
    smaller = cv2.resize(plane, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
    rows, columns = (_tvl1_torch.resizing(n, m, 1 / step) for n, m in zip(plane.shape, smaller.shape, strict=True))
    np.testing.assert_allclose(rows @ plane @ columns.T, smaller, atol=1e-3)  # float32 of 255
    again = cv2.resize(smaller, (width, height), interpolation=cv2.INTER_LINEAR)
    rows, columns = (_tvl1_torch.resizing(m, n, m / n) for n, m in zip(plane.shape, smaller.shape, strict=True))
    np.testing.assert_allclose(rows @ smaller @ columns.T, again, atol=1e-3)
    blurred = cv2.GaussianBlur(plane, (0, 0), 5.0, borderType=cv2.BORDER_REFLECT)
    rows, columns = _tvl1_torch.blurring(height, 5.0), _tvl1_torch.blurring(width, 5.0)
    np.testing.assert_allclose(rows @ plane @ columns.T, blurred, atol=1e-3)


@given(st.sampled_from([3, 5]), st.integers(2, 12), st.integers(0, 99))
def test_the_median_is_opencvs_bit_for_bit(aperture: int, side: int, seed: int) -> None:
    fields = np.random.default_rng(seed).normal(size=(2, 2, side, side + 1)).astype(np.float32)
    found = _tvl1_torch._median(torch.from_numpy(fields), aperture).numpy()
    expected = [[cv2.medianBlur(part, aperture) for part in field] for field in fields]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("preset", list(tvl1.PRESETS))
def test_looks_up_as_opencv_does_even_beyond_the_border(preset: str) -> None:
    rng = np.random.default_rng(0)
    image = seen(texture(6), STILL)
    field = rng.normal(scale=4, size=(2, *image.shape)).astype(np.float32)
    parameters = tvl1.PRESETS[preset]
    found = _tvl1_torch._look_up(*(torch.from_numpy(a) for a in (image[None, None], field[None])), parameters)
    columns, rows = np.meshgrid(*[np.arange(SIZE, dtype=np.float32)] * 2)
    border = cv2.BORDER_REPLICATE if parameters.mean_gradient else cv2.BORDER_CONSTANT
    expected = cv2.remap(image, columns + field[0], rows + field[1], cv2.INTER_CUBIC, borderMode=border)
    # 1e-5 px times a slope of 255 grey levels per pixel; and a place that lies between two steps may go to either.
    apart = np.abs(found[0, 0].numpy() - expected)
    assert np.median(apart) < 1e-3
    assert np.mean(apart > 3e-3) < 0.001


@pytest.mark.parametrize("preset", list(tvl1.PRESETS))
def test_everything_stays_on_the_device(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Torch's "meta" device computes shapes alone, and refuses, as a GPU does, to be mixed with the processor's arrays.
    monkeypatch.setattr(_tvl1_torch, "PATIENCE", 1000)  # the one question that needs values
    few = replace(tvl1.PRESETS[preset], scales=2, warps=1, outer=1, inner=1)
    base, levels = (_tvl1_torch._pyramid(torch.zeros(n, 40, 33, device="meta"), few) for n in (1, 3))
    flow, moved = _tvl1_torch._descend(base, levels, few)
    assert (flow.shape, flow.dtype, flow.device.type) == ((3, 2, 40, 33), torch.float32, "meta")
    assert (moved.shape, moved.device.type) == ((3,), "meta")


def test_needs_neither_opencv_nor_numba() -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['cv2', 'numba', 'scipy', 'mediapipe']));"
        "import numpy as np; from mepipe.ops import tvl1; frame = np.eye(32, dtype=np.float32);"
        f"print(tvl1.flow(frame, frame[None], device={DEVICE!r}).shape)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(1, 2, 32, 32)", done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that Torch sees")
@pytest.mark.parametrize("preset", list(tvl1.PRESETS))
def test_a_gpu_agrees_with_the_processor(preset: str) -> None:
    reference, targets, truth = clip(face(), noisy=True)
    expected = tvl1.flow(reference, targets, preset, "exact")
    found = tvl1.flow(reference, targets, preset, "exact", "cuda")
    assert distance(found, expected) < NEAR[preset]
    assert distance(found, truth) <= 1.03 * distance(expected, truth)
    np.testing.assert_array_equal(found, tvl1.flow(reference, targets, preset, "exact", "cuda"))

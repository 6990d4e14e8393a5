import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import sobel

from mepipe.errors import MepipeError, UsageError
from mepipe.ops.strain import VARIANTS, motion_map, strain, tensor
from tests.conftest import needs_torch

Y, X = np.mgrid[0:9, 0:13].astype(np.float32)
TRUE_TO_AXES = ("tensor", "tensor-forward", "half-shear")
# Float32 slopes of coordinates up to 13.
EXACT = 1e-5


def linear(ux: float, uy: float, vx: float, vy: float) -> np.ndarray:
    """Flow with these derivatives everywhere; u, v also shifted, which no derivative sees."""
    return np.stack([ux * X + uy * Y + 3, vx * X + vy * Y - 7]).astype(np.float32)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_translation_has_no_strain(variant: str) -> None:
    inside = strain(linear(0, 0, 0, 0), variant)[1:-1, 1:-1]
    np.testing.assert_array_equal(inside, np.zeros((7, 11)))


@pytest.mark.parametrize("variant", TRUE_TO_AXES)
def test_a_small_rotation_has_no_strain(variant: str) -> None:
    np.testing.assert_allclose(strain(linear(0, -0.02, 0.02, 0), variant), 0, atol=EXACT)


@pytest.mark.parametrize(
    ("derivatives", "expected"),
    [
        # Stretch along x, and along y: each its own slope. Dilation: both. Shear: 1/2 or 1/4 of its square.
        ((0.3, 0, 0, 0), {"tensor": 0.3, "tensor-forward": 0.3, "half-shear": 0.3}),
        ((0, 0, 0, -0.2), {"tensor": 0.2, "tensor-forward": 0.2, "half-shear": 0.2}),
        ((0.1, 0, 0, 0.1), {"tensor": 0.1 * 2**0.5, "tensor-forward": 0.1 * 2**0.5, "half-shear": 0.1 * 2**0.5}),
        ((0, 0.4, 0, 0), {"tensor": 0.4 / 2**0.5, "tensor-forward": 0.4 / 2**0.5, "half-shear": 0.2}),
        ((0, 0.1, 0.1, 0), {"tensor": 0.2 / 2**0.5, "tensor-forward": 0.2 / 2**0.5, "half-shear": 0.1}),
    ],
)
def test_known_deformations_have_their_closed_form_up_to_the_border(derivatives: tuple, expected: dict) -> None:
    for variant, value in expected.items():
        np.testing.assert_allclose(strain(linear(*derivatives), variant), value, atol=EXACT)


@given(st.tuples(*[st.floats(-1, 1, width=32)] * 4))
def test_the_tensor_and_its_norm_follow_the_derivatives(derivatives: tuple[float, float, float, float]) -> None:
    ux, uy, vx, vy = derivatives
    flow = linear(*derivatives)
    exx, eyy, exy = tensor(flow)
    np.testing.assert_allclose(exx, ux, atol=EXACT)
    np.testing.assert_allclose(eyy, vy, atol=EXACT)
    np.testing.assert_allclose(exy, (uy + vx) / 2, atol=EXACT)
    np.testing.assert_allclose(strain(flow), np.sqrt(exx**2 + eyy**2 + 2 * exy**2), atol=EXACT)


@given(st.integers(0, 2**32 - 1), st.floats(0, 2 * np.pi))
def test_the_tensor_norm_does_not_depend_on_the_axes(seed: int, angle: float) -> None:
    gradient = np.random.default_rng(seed).uniform(-1, 1, (2, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = turn @ gradient @ turn.T
    before, after = (strain(linear(*g.ravel()))[4, 4] for g in (gradient, turned))
    assert after == pytest.approx(before, abs=EXACT)


def random_flow() -> np.ndarray:
    return np.random.default_rng(5).standard_normal((2, 3, 2, 8, 11)).astype(np.float32)


def ststnet_issue_5(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    def step(field: np.ndarray, axis: int) -> np.ndarray:
        return (field - pd.DataFrame(field).shift(-1, axis=axis)).to_numpy()

    squares = step(u, 1) ** 2 + step(v, 0) ** 2 + 1 / 2 * (step(u, 0) + step(v, 1)) ** 2
    return pd.DataFrame(np.sqrt(squares)).ffill(axis=1).ffill(axis=0).to_numpy()


def ststnet_issue_8(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    (ux, uy), (vx, vy) = np.gradient(u), np.gradient(v)
    return np.sqrt(ux**2 + vy**2 + 0.25 * (uy + vx) ** 2)


def meb(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    (ux, uy), (vx, vy) = ([sobel(f, axis=axis, mode="constant") for axis in (0, 1)] for f in (u, v))
    return np.sqrt(ux**2 + vy**2 + 0.5 * (uy**2 + vx**2))


def by_gradient(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    (uy, ux), (vy, vx) = np.gradient(u), np.gradient(v)
    return np.sqrt(ux**2 + vy**2 + 0.5 * (uy + vx) ** 2)


@pytest.mark.parametrize(
    ("variant", "published"),
    [
        ("tensor", by_gradient),
        ("tensor-forward", ststnet_issue_5),
        ("half-shear-swapped", ststnet_issue_8),
        ("meb", meb),
    ],
)
def test_each_variant_is_its_published_code_borders_included(variant: str, published) -> None:
    flow = random_flow()
    expected = [[published(*flow[i, j].astype(np.float64)) for j in range(3)] for i in range(2)]
    got = strain(flow, variant)
    assert got.shape == (2, 3, 8, 11)
    assert got.dtype == np.float32
    # Float32 against float64 on values to about 30 (Sobel).
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("variant", TRUE_TO_AXES)
def test_the_smallest_field_has_strain_everywhere(variant: str) -> None:
    np.testing.assert_allclose(strain(linear(0.5, 0, 0, 0)[:, :2, :2], variant), 0.5, atol=EXACT)


def test_the_input_is_left_alone_and_the_map_carries_flow_and_strain() -> None:
    flow = random_flow()
    kept = flow.copy()
    pictures = motion_map(flow, "half-shear")
    np.testing.assert_array_equal(flow, kept)
    assert pictures.shape == (2, 3, 3, 8, 11)
    np.testing.assert_array_equal(pictures[:, :, :2], flow)
    np.testing.assert_array_equal(pictures[:, :, 2], strain(flow, "half-shear"))


@pytest.mark.parametrize("shape", [(8, 11), (3, 8, 11), (8, 11, 2), (2, 1, 11), (2, 8, 1)])
def test_what_is_not_flow_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(MepipeError, match=r"needs flow \[..., 2, H, W\] .* got"):
        strain(np.zeros(shape, np.float32))


def test_an_unknown_variant_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"No strain called 'norm'. Choose one of tensor, .* meb"):
        strain(random_flow(), "norm")


@needs_torch
@given(
    st.sampled_from(VARIANTS),
    st.integers(2, 9),
    st.integers(2, 9),
    st.sampled_from([(), (3,), (2, 0), (2, 3)]),
    st.integers(0, 99),
)
def test_a_torch_device_gives_the_same(variant: str, height: int, width: int, lead: tuple, seed: int) -> None:
    flow = np.random.default_rng(seed).normal(size=(*lead, 2, height, width)).astype(np.float32)
    # "cpu:0" is the processor by way of Torch. Sums of a few products of order one, in another order.
    on_device = strain(flow, variant, device="cpu:0")
    assert on_device.dtype == np.float32
    np.testing.assert_allclose(on_device, strain(flow, variant), atol=1e-5)
    np.testing.assert_allclose(motion_map(flow, variant, "cpu:0"), motion_map(flow, variant), atol=1e-5)


@needs_torch
@pytest.mark.parametrize("variant", VARIANTS)
def test_strain_stays_on_its_device(variant: str) -> None:
    import torch

    from mepipe.ops import _torch

    # Torch's "meta" device computes shapes alone, and refuses, as a GPU does, to be mixed with the processor's arrays.
    result = _torch.strain_of(*torch.zeros(2, 3, 8, 9, device="meta"), variant)
    assert (result.shape, result.device.type) == ((3, 8, 9), "meta")


@needs_torch
def test_a_torch_device_refuses_what_is_no_flow() -> None:
    with pytest.raises(MepipeError, match="Strain needs flow"):
        strain(np.zeros((3, 8, 8), np.float32), device="cpu:0")

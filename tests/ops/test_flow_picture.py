"""Flow as a picture: colours by direction, components as channels, each picture on its own scale."""

from __future__ import annotations

import numpy as np
import pytest

from mepipe.ops.flow_picture import picture


def flow(u: float, v: float, size: int = 32) -> np.ndarray:
    """A whole picture that moves alike: one flow, [2, size, size]."""
    return np.broadcast_to(np.array([u, v], np.float32)[:, None, None], (2, size, size)).copy()


@pytest.mark.parametrize(
    ("motion", "colour"),
    [
        ((2, 0), (1, 0, 0)),  # right: red
        ((0, 2), (0.5, 1, 0)),  # down: a quarter of a turn, halfway from yellow to green
        ((-2, 0), (0, 1, 1)),  # left: cyan
        ((0, -2), (0.5, 0, 1)),  # up: violet
        ((0, 0), (1, 1, 1)),  # still: white
    ],
)
def test_directions_have_colours(motion: tuple[float, float], colour: tuple[float, ...]) -> None:
    found = picture(flow(*motion))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.broadcast_to(colour, (32, 32, 3)), atol=1e-6)


def test_components_by_hand() -> None:
    """A stretch to the right, u = .02 x: strain .02 everywhere, lengths 0 to .62, of which 99.5 % are below .62."""
    _, x = np.mgrid[0:32, 0:32].astype(np.float32)
    found = picture(np.stack([0.02 * x, 0 * x]), "components")
    np.testing.assert_allclose(found[5, :, 0], 0.5 + x[0] / 62, atol=1e-6)
    np.testing.assert_allclose(found[..., 1], 0.5)
    np.testing.assert_allclose(found[..., 2], 1, atol=1e-5)


@pytest.mark.parametrize("style", ["colour", "components"])
def test_a_picture_has_its_own_scale_down_to_noise(style: str) -> None:
    field = np.random.default_rng(1).normal(size=(2, 24, 24)).astype(np.float32)
    np.testing.assert_allclose(picture(3 * field, style), picture(field, style), atol=1e-6)
    still = picture(0 * field, style)
    assert np.abs(picture(1e-3 * field, style)[..., :2] - still[..., :2]).max() < 0.05  # a hundredth of what counts

"""The data step of TV-L1 against the energy that it is to minimise, by a minimiser that knows nothing of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize

from mepipe.ops import _tvl1_kernels as kernels
from mepipe.ops import _tvl1_solver

SIDE = 16


def _step(gradient: np.ndarray, residual: float, attachment: float, theta: float, data_huber: float) -> np.ndarray:
    """What one iteration makes of no flow in the middle of a ramp whose target is brighter by `residual`: u, v."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    reference = np.float32(gradient[0]) * x + np.float32(gradient[1]) * y
    seen = reference + np.float32(residual)
    flow, dual, linear = (np.zeros((planes, SIDE + 2, SIDE + 2), np.float32) for planes in (2, 4, 4))
    floor = np.float32(data_huber / (attachment * theta))
    kernels.linearise_mean(reference, seen, reference, np.float32(0.25), flow, linear, floor)
    rate = np.float32(0.2 / theta)
    kernels.iterate(linear, flow, dual, np.float32(attachment * theta), np.float32(theta), rate, np.float32(0), 1)
    return flow[:, SIDE // 2, SIDE // 2]


@given(
    st.floats(-20, 20),
    st.floats(-20, 20),
    st.floats(-30, 30),
    st.floats(0.1, 1),
    st.floats(0.05, 0.5),
    st.floats(0.2, 10),
)
def test_the_data_step_minimises_its_energy(
    gx: float, gy: float, residual: float, attachment: float, theta: float, data_huber: float
) -> None:
    gradient = np.array([gx, gy])
    assume(np.hypot(gx, gy) > 0.5)

    def energy(v: np.ndarray) -> float:
        rho = abs(residual + gradient @ v)
        data = rho**2 / (2 * data_huber) if rho < data_huber else rho - data_huber / 2
        return float(attachment * data + (v @ v) / (2 * theta))

    best = minimize(energy, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-12, "maxiter": 4000})
    found = _step(gradient, residual, attachment, theta, data_huber)
    assert energy(found) == pytest.approx(best.fun, rel=1e-3, abs=1e-5)
    np.testing.assert_allclose(found, best.x, atol=1e-3)


def test_without_the_quadratic_part_a_small_residual_is_met_whole() -> None:
    np.testing.assert_allclose(_step(np.array([3.0, 4.0]), 0.05, 0.25, 0.25, 0.0), [-0.006, -0.008], atol=1e-5)


def test_the_gradient_is_the_means_with_the_frame_in_it() -> None:
    rng = np.random.default_rng(0)
    reference, seen, mean = rng.uniform(0, 255, (3, SIDE, SIDE)).astype(np.float32)
    flow, linear = (np.zeros((planes, SIDE + 2, SIDE + 2), np.float32) for planes in (2, 4))
    kernels.linearise_mean(reference, seen, mean, np.float32(0.2), flow, linear, np.float32(0))
    down, along = np.gradient(0.8 * mean.astype(np.float64) + 0.2 * seen)
    np.testing.assert_allclose(linear[0, 2:-2, 2:-2], along[1:-1, 1:-1], atol=1e-3)
    np.testing.assert_allclose(linear[1, 2:-2, 2:-2], down[1:-1, 1:-1], atol=1e-3)
    np.testing.assert_allclose(linear[3, 1:-1, 1:-1], seen - reference, atol=1e-3)


def test_the_noise_is_measured_beside_what_moves() -> None:
    rng = np.random.default_rng(1)
    reference = rng.uniform(0, 255, (224, 224)).astype(np.float32)
    seen = reference + rng.normal(0, 3, reference.shape).astype(np.float32)
    assert _tvl1_solver._noise(reference, seen) == pytest.approx(9, rel=0.1)  # of 3,136 pixels
    seen[:70, :70] += 40  # a tenth of the face
    assert _tvl1_solver._noise(reference, seen) == pytest.approx(9, rel=0.5)  # the mean square is 160
    assert _tvl1_solver._noise(reference, reference) == 0

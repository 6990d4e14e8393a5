"""TV-L1 optical flow (Zach, Pock, Bischof 2007) from one reference frame to each frame of a clip.

Presets. `opencv` is the scheme of `cv2.optflow.DualTVL1OpticalFlow_create()` with its defaults, step by step
(Sanchez, Meinhardt-Llopis, Facciolo, IPOL 2013). It agrees to about 0.0001 px as long as rounding does not change
the iteration at which the stopping rule is met; under noise that happens, and then they differ by 0.002-0.02 px.
`micro` is for noisy sub-pixel motion of faces. Both frames first lose what varies slowly, so that a drift of the
light is not motion; gradients are the mean of both frames', so that their noise biases the flow less; the data term
is quadratic (Huber) where the residual is no more than noise, whose size is measured for each warp, so that a pixel
whose gradient is small beside it has little to say; the penalty is quadratic below a small slope, because skin is
elastic and does not move in pieces; and a fixed number of iterations takes the place of a stopping rule that noise
never meets.

Modes. `exact` solves each pair alone, through the whole pyramid. `clip` takes the targets in order, at the finest
scale only, in two sweeps. In the first each starts from the flow and the dual variables of the one before (the first,
from none); where that start does not fit the new frame, it goes through the pyramid. In the second each starts from
its own. With `micro` the gradients are then the mean of all frames, each where its flow points. A long clip is taken
in parts, 32 targets of 224 x 224 pixels at a time.

Devices. `cpu` is compiled code on one core. Any other is a Torch device, on which all pairs are solved at once by
the same scheme, both modes as `exact`. Rounding differs, which parts them by .001 px on average with `micro`, by .02 px
with `opencv` and its stopping rule: noise of .0001 grey levels in the frames does as much.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from mepipe.errors import MepipeError

SMALLEST = 16  # pixels: OpenCV's pyramid stops here too
# A warp that moves the flow by less than this (pixels, root mean square) need not be followed by another.
SETTLED = 0.06
# Without a median filter, a pixel whose flow lies further from its neighbours' median (pixels) after a warp is put
# there: of a thin edge that moves by more than its width, each warp looks up something else, and some pixels run away.
RUNAWAY = 1.5
# The noise is measured on every fourth pixel each way. For Gaussian noise, sigma over the median of its size; and the
# largest sigma of the difference of two frames that is still taken for noise, grey levels: a dark, fast camera's.
SPARSE = 4
MEDIAN_TO_SIGMA = 1.4826
NOISIEST = 8.0
MODES = ("exact", "clip")


@dataclass(frozen=True)
class Preset:
    """Parameters of TV-L1, named as in OpenCV where OpenCV has them; images are in grey levels of 0..255."""

    tau: float  # step of the dual variables
    attachment: float  # lambda: weight of the data against smoothness
    theta: float  # coupling of the data and the smoothness step
    scales: int
    scale_step: float
    warps: int  # linearisations per scale
    outer: int  # times `inner` iterations per warp
    inner: int  # iterations, between median filters
    epsilon: float  # stop when an iteration moves the flow by less than this, pixels root mean square
    fused: int  # iterations between two looks at epsilon
    median: bool  # a 5 x 5 median filter of the flow before each `inner` iterations
    huber: float  # slope (pixels per pixel) below which the penalty is quadratic; 0 is total variation
    noise: float  # times the variance of the noise, added to squared gradients; 0 is pure L1. With mean_gradient
    detail: float  # sigma (pixels of each scale) above which structure is removed first; 0 keeps all
    mean_gradient: bool  # gradients of both frames (mode clip: of all), averaged, instead of the target's


PRESETS = MappingProxyType(
    {
        "opencv": Preset(
            tau=0.25,
            attachment=0.15,
            theta=0.3,
            scales=5,
            scale_step=0.8,
            warps=5,
            outer=10,
            inner=30,
            epsilon=0.01,
            fused=1,
            median=True,
            huber=0.0,
            noise=0.0,
            detail=0.0,
            mean_gradient=False,
        ),
        # Chosen over faces (sharp, soft), action units, peaks of 0.25-4 px and sensor noise, with the light drifting by
        # 2 %, on frames smoothed in time (`sampling.smoothing_width`): python -m benchmarks --only accuracy_grid
        "micro": Preset(
            tau=0.2,
            attachment=0.3,
            theta=0.15,
            scales=4,
            scale_step=0.5,
            warps=3,
            outer=1,
            inner=30,
            epsilon=0.0,
            fused=10,
            median=False,
            huber=0.02,
            noise=8.0,
            detail=3.0,
            mean_gradient=True,
        ),
    }
)


def flow(
    reference: np.ndarray,
    targets: np.ndarray,
    preset: str | Preset = "micro",
    mode: str = "clip",
    device: str = "cpu",
) -> np.ndarray:
    """Motion from `reference` to each of `targets`: float32 [N, 2, H, W], pixels, u to the right and v downward.

    reference: [H, W], targets: [N, H, W], both uint8 or float32 in 0..255, at least 16 x 16.
    preset: "micro", "opencv", or a `Preset` of one's own. mode: "clip" or "exact"; only in mode "clip" does the
    order of the targets matter. Same input, same bits. device: "cpu", or one of Torch's ("cuda", "cuda:1"), for which
    neither OpenCV nor numba is needed.

    Raises ValueError for wrong shapes, dtypes or names, and MepipeError for frames that hold NaN or infinity.

    >>> frame = np.random.default_rng(0).integers(0, 255, (32, 32), dtype=np.uint8)
    >>> bool(flow(frame, frame[None]).any())
    False
    """
    return flow_with_report(reference, targets, preset, mode, device)[0]


def flow_with_report(
    reference: np.ndarray,
    targets: np.ndarray,
    preset: str | Preset = "micro",
    mode: str = "clip",
    device: str = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """As `flow`, and bool [N]: whether the pair's last warp moved the flow by less than 0.06 pixels rms.

    Iterations are capped, so a pair that has not settled has a flow too: one to look at before it is believed.
    """
    parameters = _checked(reference, targets, preset, mode)
    # numba and OpenCV take half a second to import, Torch two: only who computes pays.
    if device != "cpu":
        from mepipe.ops import _tvl1_torch

        return _tvl1_torch.flow_with_report(reference, targets, parameters, device)
    from mepipe.ops import _tvl1_solver as solver

    fields = np.empty((len(targets), 2, *reference.shape), np.float32)
    settled = np.empty(len(targets), bool)
    for index, solution in enumerate(solver.solutions(reference, targets, parameters, mode)):
        fields[index] = solution.flow[:, 1:-1, 1:-1]
        settled[index] = solution.settled
    return fields, settled


def _checked(reference: np.ndarray, targets: np.ndarray, preset: str | Preset, mode: str) -> Preset:
    if mode not in MODES:
        msg = f"No TV-L1 mode {mode!r}.\nChoose one of: {', '.join(MODES)}."
        raise ValueError(msg)
    if isinstance(preset, str) and preset not in PRESETS:
        msg = f"No TV-L1 preset {preset!r}.\nChoose one of: {', '.join(PRESETS)}; or pass a Preset."
        raise ValueError(msg)
    if reference.ndim != 2 or targets.ndim != 3 or targets.shape[1:] != reference.shape:
        msg = (
            f"TV-L1 needs a reference [H, W] and targets [N, H, W] of the same size.\n"
            f"Got {list(reference.shape)} and {list(targets.shape)}.\nPass one gray frame and a stack of gray frames."
        )
        raise ValueError(msg)
    if min(reference.shape) < SMALLEST:
        msg = (
            f"Frames of {reference.shape[1]} x {reference.shape[0]} pixels are too small for TV-L1.\n"
            f"Both sides must be at least {SMALLEST}.\nUse a larger crop."
        )
        raise ValueError(msg)
    for name, frames in (("reference", reference), ("targets", targets)):
        if frames.dtype not in (np.uint8, np.float32):
            msg = f"TV-L1 takes uint8 or float32 in 0..255.\nThe {name} is {frames.dtype}.\nConvert it first."
            raise ValueError(msg)
        if frames.dtype == np.float32 and not np.isfinite(frames).all():
            count = int(np.count_nonzero(~np.isfinite(frames)))
            msg = f"{count} pixels of the {name} are NaN or infinite.\nTV-L1 cannot use them.\nCheck the frames."
            raise MepipeError(msg)
    return PRESETS[preset] if isinstance(preset, str) else preset

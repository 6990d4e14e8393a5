"""Eulerian motion magnification: what changes at a fixed pixel, band-passed in time and enlarged.

Each frame is split into a Laplacian pyramid, each level is filtered in time and enlarged, and the levels are
put together again (MPT, eq. 4-7, after Wu et al. 2012, "Eulerian video magnification for revealing subtle
changes in the world"). The temporal filter is linear in each pixel and the pyramid is linear in each frame:
the two commute. So the clip is filtered first, as one matrix product. With the same gain on all levels the
pyramid then takes the filtered frames apart and puts them together unchanged, and is skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mepipe.errors import MepipeError
from mepipe.ops import temporal

# A pulse is followed until the filter's slowest pole has decayed to this.
_TAIL = 1e-12
# Longest response followed, in frames: 0.001 Hz at 200 fps, three orders below any movement of a face.
_LONGEST = 2_000_000
# Luma of ITU-R BT.601, as in the YIQ colours of Wu et al.
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def magnify(
    frames: np.ndarray,
    fps: float,
    low: float = 0.4,
    high: float = 4.0,
    alpha: float = 20.0,
    order: int = 2,
    gains: Sequence[float] | None = None,
    chroma: float = 1.0,
    causal: bool = False,
    device: str = "cpu",
) -> np.ndarray:
    """The clip with its changes between `low` and `high` hertz enlarged: float32, same shape, not clipped.

    frames: floating point [T, H, W] or [T, H, W, C], 0..1, T >= 2; evenly spaced in time at `fps` per second.
    low, high: cut-offs in hertz (MPT: 0.4 and 4). alpha: the enlargement; 0 gives the clip back, bit for bit.
    order: of the Butterworth band-pass, as `scipy.signal.butter` counts it.
    gains: one factor on alpha for each pyramid level, finest first, the last for the low-pass residual:
    `len(gains) - 1` levels. None: 1 on all, the published setting, for which no pyramid needs to be computed.
    chroma: factor on the change of colour at equal luma; 1 keeps it, 0 magnifies luma alone (C = 3).
    causal: run the filter once, forward, so that no frame depends on later ones, and motion comes late.
    Otherwise forward and backward: no delay, and the filter's gain squared (-6 dB at the cut-offs).
    device: "cpu", or one of Torch's, where the result is the same to a hundredth of a grey level of 255.

    Most micro-expressions are shorter than one period of 0.4 Hz (2.5 s), so the lower cut-off cannot be
    resolved within the clip. What lies outside is taken to be rest: the first frame is held before the clip
    and the last one after it, for ever. For a movement that starts and ends at rest that is exactly what
    filtering the uncut recording gives; a still clip comes back unchanged. A movement of 0.25, 0.5, 1, 2 s then
    keeps 0.68, 0.97, 0.88, 0.54 of its swing before alpha (the upper cut-off takes from short ones, the lower
    from long ones), and its first frame changes by 0.02, -0.18, -0.27, -0.19 of it: the onset, too, is changed.
    Mirrored padding errs by 0.4-0.9 of the true signal's rms where this errs by nothing. In a clip cut at the
    apex this errs by 0.9-0.5 (0.25-1 s), mirrors by 0.8-1.4: magnify the whole movement, then choose frames.
    docs/short_clips.png shows it.

    MepipeError: a pass-band that cannot exist at this fps, fewer than two frames, frames not floating point.

    >>> still = np.full((8, 4, 4), 0.5, dtype=np.float32)
    >>> bool((magnify(still, fps=200) == still).all())
    True
    """
    check_frames(frames, chroma, gains)
    frames = np.asarray(frames, dtype=np.float32)
    kernel = alpha * filter_matrix(len(frames), fps, low, high, order, causal)
    if device != "cpu":
        from mepipe.ops import _torch

        colours = None if chroma == 1.0 else chroma * np.eye(3) + (1 - chroma) * LUMA[:, None]
        return _torch.magnify(frames, kernel, gains, colours, device)
    if gains is None and chroma == 1.0:
        return temporal.mix(kernel, frames, onto=frames)
    changes = temporal.mix(kernel, frames)
    if chroma != 1.0:
        luma = changes @ LUMA
        changes = chroma * changes + (1 - chroma) * luma[..., None]
    if gains is not None:
        planes = changes[..., 0] if frames.shape[3:] == (1,) else changes  # OpenCV drops a channel axis of one
        changes = np.stack([_weigh_levels(change, gains) for change in planes]).reshape(frames.shape)
    return frames + changes


def course(
    n_frames: int, fps: float, low: float, high: float, alpha: float, order: int = 2, causal: bool = False
) -> np.ndarray:
    """What `magnify` multiplies a clip by where neither gains nor chroma are given: float64 [T, T], rows sum to one.

    MepipeError as of `magnify`.
    """
    _check_count(n_frames)
    return np.eye(n_frames) + alpha * filter_matrix(n_frames, fps, low, high, order, causal)


def transfer(
    fps: float,
    low: float,
    high: float,
    order: int,
    frequencies: np.ndarray,
    causal: bool = False,
) -> np.ndarray:
    """What the filter multiplies a lasting sinusoid by: complex128, the shape of `frequencies` (hertz).

    H for the causal filter, |H|^2 (no phase) for the zero-phase one. `magnify` multiplies by 1 + alpha x
    this.
    """
    from scipy.signal import sosfreqz

    _, response = sosfreqz(_design(fps, low, high, order), worN=np.asarray(frequencies, dtype=np.float64), fs=fps)
    return response if causal else (np.abs(response) ** 2).astype(np.complex128)


@lru_cache(maxsize=32)
def filter_matrix(
    n_frames: int, fps: float, low: float, high: float, order: int = 2, causal: bool = False
) -> np.ndarray:
    """The band-pass over a clip as a matrix: float64 [T, T], read-only; `matrix @ course` is filtered.

    The first and the last frame are held for ever outside the clip (see `magnify`). The rows sum to zero:
    what does not change is removed.
    """
    from scipy.linalg import toeplitz
    from scipy.signal import sosfilt

    sos = _design(fps, low, high, order)
    pulse = np.zeros(n_frames + _memory(sos, fps, low))
    pulse[0] = 1
    response = sosfilt(sos, pulse)
    if not causal:
        # Run over itself backward: the response to a pulse at lags 0, 1, ...; the same at negative lags.
        response = sosfilt(sos, response[::-1])[::-1]
    response = response[:n_frames]
    # Sums over all lags from t on: what a frame held for ever adds. Over all lags a band-pass sums to zero,
    # so that the endless tail is the negative of what precedes it.
    whole = 0 if causal else response[0] / 2
    beyond = whole - np.concatenate([[0], np.cumsum(response)[:-1]])
    matrix = toeplitz(response, np.zeros(n_frames) if causal else response)
    matrix[:, 0] = beyond
    if not causal:
        matrix[:, -1] = beyond[::-1]
    matrix.setflags(write=False)
    return matrix


def _design(fps: float, low: float, high: float, order: int) -> np.ndarray:
    """Second-order sections: a polynomial of the whole filter loses its digits for narrow low bands."""
    from scipy.signal import butter  # here, for it takes seconds that only a filter is worth

    if not 0 < low < high < fps / 2 < np.inf:
        msg = (
            f"No pass-band from {low:g} to {high:g} Hz at {fps:g} frames per second.\n"
            f"It needs 0 < low < high < fps / 2 = {fps / 2:g} Hz.\n"
            "Set low and high to fit, or leave magnification out for clips of this frame rate."
        )
        raise MepipeError(msg)
    if order < 1:
        msg = f"No Butterworth filter has order {order}. Set order to 1 or more (2 is the default)."
        raise MepipeError(msg)
    return butter(order, [low, high], btype="band", fs=fps, output="sos")


def _memory(sos: np.ndarray, fps: float, low: float) -> int:
    """Frames until the filter has forgotten a pulse: its slowest pole decays below `_TAIL`."""
    # Each section is z^2 + a1 z + a2; the modulus of its larger pole.
    slowest = max(np.abs(np.roots(section[3:])).max() for section in sos)
    needed = np.log(_TAIL) / np.log(slowest) if slowest < 1 else np.inf
    if needed > _LONGEST:
        msg = (
            f"The band-pass from {low:g} Hz at {fps:g} frames per second remembers {needed:.3g} frames,\n"
            f"more than the {_LONGEST} that are followed.\nRaise low, or lower the order."
        )
        raise MepipeError(msg)
    return int(np.ceil(needed))


def check_frames(frames: np.ndarray, chroma: float = 1.0, gains: Sequence[float] | None = None) -> None:
    if frames.ndim not in (3, 4) or not np.issubdtype(frames.dtype, np.floating):
        msg = (
            "Magnification needs floating-point frames [T, H, W] or [T, H, W, C] in 0..1, "
            f"got {frames.dtype} {list(frames.shape)}.\nConvert with frames.astype(np.float32) / 255."
        )
        raise MepipeError(msg)
    _check_count(len(frames))
    if chroma != 1.0 and frames.shape[3:] != (3,):
        msg = f"chroma={chroma:g} needs frames [T, H, W, 3], got {list(frames.shape)}. Set chroma to 1."
        raise MepipeError(msg)
    if gains is not None and not 1 <= len(gains) <= 1 + np.log2(min(frames.shape[1:3])):
        msg = (
            f"{len(gains)} gains do not fit frames of {frames.shape[2]} x {frames.shape[1]} px.\n"
            "Give one for the residual and at most one more for each halving of the shorter side."
        )
        raise MepipeError(msg)


def _check_count(n_frames: int) -> None:
    if n_frames < 2:
        msg = f"Magnification needs two frames, got {n_frames}. Sample more of the clip, or exclude it."
        raise MepipeError(msg)


def _weigh_levels(image: np.ndarray, gains: Sequence[float]) -> np.ndarray:
    """One frame taken apart into a Laplacian pyramid and put together with a factor on each level (eq. 4,
    7)."""
    import cv2

    coarse = [image]
    for _ in gains[1:]:
        coarse.append(cv2.pyrDown(coarse[-1]))
    result = np.float32(gains[-1]) * coarse[-1]
    for gain, fine, below in zip(gains[-2::-1], coarse[-2::-1], coarse[:0:-1], strict=True):
        size = (fine.shape[1], fine.shape[0])
        detail = fine - cv2.pyrUp(below, dstsize=size)
        result = np.float32(gain) * detail + cv2.pyrUp(result, dstsize=size)
    return result

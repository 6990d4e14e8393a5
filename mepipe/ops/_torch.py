"""Strain and Eulerian magnification on a Torch device, and what the operators there share. For `mepipe.ops` alone.

The functions that take a device take and give NumPy arrays that are checked already; the others tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@contextmanager
def computing() -> Iterator[None]:
    """No gradients, and float32 products of float32: a GPU would else be free to round their factors to 10 bits."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def upload(array: np.ndarray, device: str | torch.device) -> Tensor:
    """As float32 on the device. Bytes travel as bytes."""
    kind = np.uint8 if array.dtype == np.uint8 else np.float32
    # A copy: Torch takes neither what is read-only nor what runs backward.
    return torch.from_numpy(np.array(array, dtype=kind, order="C")).to(device).float()


def separable(planes: Tensor, rows: np.ndarray, columns: np.ndarray) -> Tensor:
    """`rows @ plane @ columns.T` for each of planes [..., H, W]; rows: [H', H], columns: [W', W]."""
    return upload(rows, planes.device) @ (planes @ upload(columns.T, planes.device))


def strain(flow: np.ndarray, variant: str, device: str) -> np.ndarray:
    """`mepipe.ops.strain.strain` there, all fields at once."""
    with computing():
        u, v = upload(flow, device).unbind(-3)
        return strain_of(u, v, variant).cpu().numpy()


def strain_of(u: Tensor, v: Tensor, variant: str) -> Tensor:
    """Magnitude of the strain of u, v [..., H, W]; variants as in `mepipe.ops.strain`."""
    return _VARIANTS[variant](u, v)


def _norm(ux: Tensor, uy: Tensor, vx: Tensor, vy: Tensor, shear_weight: float) -> Tensor:
    return (ux.square() + vy.square() + shear_weight * (uy + vx).square()).sqrt_()


def _central(u: Tensor, v: Tensor, shear_weight: float) -> Tensor:
    uy, ux = torch.gradient(u, dim=(-2, -1))
    vy, vx = torch.gradient(v, dim=(-2, -1))
    return _norm(ux, uy, vx, vy, shear_weight)


def _central_swapped(u: Tensor, v: Tensor) -> Tensor:
    return _central(u.mT, v.mT, 0.25).mT.contiguous()


def _forward(u: Tensor, v: Tensor) -> Tensor:
    (ux, uy), (vx, vy) = [(f[..., :-1, 1:] - f[..., :-1, :-1], f[..., 1:, :-1] - f[..., :-1, :-1]) for f in (u, v)]
    inside = _norm(ux, uy, vx, vy, 0.5)
    inside = torch.cat([inside, inside[..., -1:, :]], dim=-2)
    return torch.cat([inside, inside[..., -1:]], dim=-1)


def _meb(u: Tensor, v: Tensor) -> Tensor:
    u_rows, v_rows = _sobel_rows(u), _sobel_rows(v)
    u_columns, v_columns = _sobel_rows(u.mT).mT, _sobel_rows(v.mT).mT
    lost_cross_term = u_columns.square() + v_rows.square()
    return (u_rows.square() + v_columns.square() + 0.5 * lost_cross_term).sqrt()


def _sobel_rows(plane: Tensor) -> Tensor:
    """Sobel's derivative from row to row, zero outside."""
    held = F.pad(plane, (1, 1, 1, 1))
    smooth = held[..., :-2] + 2 * held[..., 1:-1] + held[..., 2:]
    return smooth[..., 2:, :] - smooth[..., :-2, :]


_VARIANTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "tensor": lambda u, v: _central(u, v, 0.5),
    "tensor-forward": _forward,
    "half-shear": lambda u, v: _central(u, v, 0.25),
    "half-shear-swapped": _central_swapped,
    "meb": _meb,
}


def magnify(
    frames: np.ndarray, kernel: np.ndarray, gains: Sequence[float] | None, colours: np.ndarray | None, device: str
) -> np.ndarray:
    """`mepipe.ops.eulerian.magnify` there: frames float32 [T, H, W(, C)], kernel [T, T] with the enlargement in it.

    colours: [C, C], what each channel's change adds to each channel; None for itself alone.
    """
    with computing():
        return magnified(upload(frames, device), kernel, gains, colours).cpu().numpy()


def magnified(clip: Tensor, kernel: np.ndarray, gains: Sequence[float] | None, colours: np.ndarray | None) -> Tensor:
    """`clip` with its filtered changes added: see `magnify`."""
    rows = clip.flatten(1)
    changes = (upload(kernel, clip.device) @ (rows - rows[0])).reshape(clip.shape)
    if colours is not None:
        changes = changes @ upload(colours, clip.device)
    if gains is not None:
        planes = changes.reshape(*clip.shape[:3], -1).movedim(3, 1)
        changes = _weigh_levels(planes, gains).movedim(1, 3).reshape(clip.shape)
    return clip + changes


def _weigh_levels(planes: Tensor, gains: Sequence[float]) -> Tensor:
    """Planes [..., H, W] taken apart into a Laplacian pyramid and put together with a factor on each level."""
    coarse = [planes]
    for _ in gains[1:]:
        coarse.append(separable(coarse[-1], *[pyramid_down(side) for side in coarse[-1].shape[-2:]]))
    result = gains[-1] * coarse[-1]
    for gain, fine, below in zip(gains[-2::-1], coarse[-2::-1], coarse[:0:-1], strict=True):
        up = [pyramid_up(*sides) for sides in zip(below.shape[-2:], fine.shape[-2:], strict=True)]
        result = gain * (fine - separable(below, *up)) + separable(result, *up)
    return result


@lru_cache(maxsize=64)
def pyramid_down(length: int) -> np.ndarray:
    """cv2.pyrDown along an axis as a matrix: float64 [half of length, length]."""
    source = np.pad(np.arange(length), 2, mode="reflect")
    new = np.arange((length + 1) // 2)
    matrix = np.zeros((len(new), length))
    for offset, tap in enumerate((1, 4, 6, 4, 1)):
        matrix[new, source[2 * new + offset]] += tap / 16
    return matrix


@lru_cache(maxsize=64)
def pyramid_up(length: int, new: int) -> np.ndarray:
    """cv2.pyrUp along an axis as a matrix: float64 [new, length]. It reflects before the first, repeats the last."""
    held = np.concatenate([[min(1, length - 1)], np.arange(length), [length - 1]])
    matrix = np.zeros((new, length))
    for row in range(new):
        taps = ((0, 1), (1, 6), (2, 1)) if row % 2 == 0 else ((1, 4), (2, 4))
        for offset, tap in taps:
            matrix[row, held[row // 2 + offset]] += tap / 8
    return matrix

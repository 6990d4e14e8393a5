"""Optical strain: how flow stretches and shears the face, from the derivatives of the flow field.

x is to the right and y down throughout. `tensor` is the definition; the other variants reproduce what
published code computes, down to its borders and its mistakes, so that features of earlier work can be made
again.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mepipe.errors import MepipeError, UsageError


def strain(flow: np.ndarray, variant: str = "tensor", device: str = "cpu") -> np.ndarray:
    """Magnitude of the strain at every pixel: float32 [..., H, W], no unit (pixels per pixel).

    flow: [..., 2, H, W], channel 0 is u (to the right), channel 1 is v (down), in pixels; H, W >= 2.
    device: "cpu", or one of Torch's, where all fields are computed at once, with the same result up to rounding.

    | variant | magnitude | derivatives, borders | from |
    | --- | --- | --- | --- |
    | tensor | sqrt(ux^2 + vy^2 + 1/2 (uy + vx)^2) | central; one-sided at borders | norm of `tensor` |
    | tensor-forward | the same | to the next pixel; last row, column repeated | STSTNet, issue 5 |
    | half-shear | sqrt(ux^2 + vy^2 + 1/4 (uy + vx)^2) | as tensor | shear counted once, not twice |
    | half-shear-swapped | the same with rows taken for x | as tensor | STSTNet, issue 8 (np.gradient) |
    | meb | sqrt(ux^2 + vy^2 + 1/2 (uy^2 + vx^2)), rows for x | Sobel (8 x the slope), zero outside | MEB |

    With rows taken for x, `half-shear-swapped` and `meb` exchange stretch with shear: a rigid rotation, which
    has no strain, gives sqrt(2) of its angle in the one and 8 sqrt(2) of it in the other. MEB is
    tvaranka/meb, tools/extract_optical_flow.py; STSTNet is christy1206/STSTNet.

    >>> y, x = np.mgrid[0:4, 0:4].astype(np.float32)
    >>> float(strain(np.stack([0.5 * x, 0 * y]))[1, 2])
    0.5
    """
    if variant not in _VARIANTS:
        msg = f"No strain called {variant!r}. Choose one of {', '.join(_VARIANTS)}."
        raise UsageError(msg)
    if device != "cpu":
        from mepipe.ops import _torch

        _check(flow)
        return _torch.strain(flow, variant, device)
    return _each_field(flow, _VARIANTS[variant], ())


def tensor(flow: np.ndarray) -> np.ndarray:
    """The strain tensor: float32 [..., 3, H, W], channels exx = ux, eyy = vy, exy = (uy + vx) / 2.

    flow: [..., 2, H, W], H, W >= 2. Central differences, one-sided at borders (as np.gradient). `strain` of
    the same name is its norm: exx^2 + eyy^2 + 2 exy^2, the shear standing in the tensor twice.
    """
    return _each_field(flow, _tensor, (3,))


def motion_map(flow: np.ndarray, variant: str = "tensor", device: str = "cpu") -> np.ndarray:
    """[u, v, strain] as the channels of one picture: float32 [..., 3, H, W] (Ra-ICL, eq. 2; STSTNet)."""
    magnitude = strain(flow, variant, device)
    return np.concatenate([flow.astype(np.float32, copy=False), magnitude[..., None, :, :]], axis=-3)


def _check(flow: np.ndarray) -> None:
    if flow.ndim < 3 or flow.shape[-3] != 2 or min(flow.shape[-2:]) < 2:
        msg = (
            f"Strain needs flow [..., 2, H, W] with H and W of 2 or more, got {list(flow.shape)}.\n"
            "Move the two components to the third axis from the end: u (to the right), then v (down)."
        )
        raise MepipeError(msg)


def _each_field(flow: np.ndarray, compute: Callable[[np.ndarray], np.ndarray], channels: tuple[int, ...]) -> np.ndarray:
    """`compute` on one [2, H, W] field after another: a field and its derivatives stay in a core's cache."""
    _check(flow)
    fields = flow.astype(np.float32, copy=False).reshape(-1, *flow.shape[-3:])
    out = np.empty((len(fields), *channels, *flow.shape[-2:]), dtype=np.float32)
    for result, field in zip(out, fields, strict=True):
        result[...] = compute(field)
    return out.reshape(*flow.shape[:-3], *channels, *flow.shape[-2:])


def _twice_slope(plane: np.ndarray, axis: int) -> np.ndarray:
    """Twice the derivative of [H, W] along an axis: what central differences give before they are halved."""
    along = np.moveaxis(plane, axis, 0)
    out = np.empty_like(plane)
    result = np.moveaxis(out, axis, 0)
    np.subtract(along[2:], along[:-2], out=result[1:-1])
    result[0] = 2 * (along[1] - along[0])
    result[-1] = 2 * (along[-1] - along[-2])
    return out


def _tensor(field: np.ndarray) -> np.ndarray:
    u, v = field
    shear = _twice_slope(u, axis=0) + _twice_slope(v, axis=1)
    return np.stack([_twice_slope(u, axis=1), _twice_slope(v, axis=0), 0.5 * shear]) * np.float32(0.5)


def _central(field: np.ndarray, shear_weight: float, x: int = 1, y: int = 0) -> np.ndarray:
    """sqrt(ux^2 + vy^2 + shear_weight (uy + vx)^2), x and y being axes of [H, W]; in place, as memory is the
    cost."""
    u, v = field
    total = _twice_slope(u, y)
    total += _twice_slope(v, x)
    total *= total
    total *= shear_weight
    for plane, axis in ((u, x), (v, y)):
        stretch = _twice_slope(plane, axis)
        stretch *= stretch
        total += stretch
    np.sqrt(total, out=total)
    total *= 0.5
    return total


def _forward(field: np.ndarray) -> np.ndarray:
    here = field[:, :-1, :-1]
    ux, vx = field[:, :-1, 1:] - here
    uy, vy = field[:, 1:, :-1] - here
    magnitude = np.sqrt(ux**2 + vy**2 + np.float32(0.5) * (uy + vx) ** 2)
    return np.pad(magnitude, ((0, 1), (0, 1)), mode="edge")


def _sobel_swapped(field: np.ndarray) -> np.ndarray:
    from scipy.ndimage import sobel

    u, v = field
    rows, columns = {"axis": 0, "mode": "constant"}, {"axis": 1, "mode": "constant"}
    lost_cross_term = sobel(u, **columns) ** 2 + sobel(v, **rows) ** 2
    return np.sqrt(sobel(u, **rows) ** 2 + sobel(v, **columns) ** 2 + np.float32(0.5) * lost_cross_term)


_VARIANTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tensor": lambda field: _central(field, 0.5),
    "tensor-forward": _forward,
    "half-shear": lambda field: _central(field, 0.25),
    "half-shear-swapped": lambda field: _central(field, 0.25, x=0, y=1),
    "meb": _sobel_swapped,
}
VARIANTS = tuple(_VARIANTS)

"""Colours for motion: direction as hue, length as saturation, stillness white."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes  # a second of imports that a page without figures can do without


def flow_colours(flow: np.ndarray, scale: float) -> np.ndarray:
    """Flow [2, H, W] in px -> RGB [H, W, 3] in 0..1; `scale` px and more have full colour.

    Right is red, down yellow-green, left cyan, up violet, as hue runs with the angle in the picture.
    """
    u, v = flow.astype(np.float32)
    sixth = np.arctan2(v, u) * np.float32(3 / np.pi)  # -3..3 around the circle
    saturation = np.minimum(np.hypot(u, v) / np.float32(scale), 1)
    colours = np.empty((*u.shape, 3), np.float32)
    for channel, start in enumerate((0, 4, 2)):  # HSV of value 1: each colour falls off 60 degrees from its own hue
        away = np.abs((sixth + start) % 6 - 3)
        colours[..., channel] = 1 - saturation * (1 - np.clip(away - 1, 0, 1))
    return colours


def draw_wheel(axes: Axes, scale: float) -> None:
    """The key to `flow_colours`: a disc of `scale` px radius, in a corner of a picture."""
    inset = axes.inset_axes((0.76, 0.08, 0.22, 0.22))
    grid = np.linspace(-scale, scale, 81)
    u, v = np.meshgrid(grid, grid)
    colours = flow_colours(np.stack([u, v]), scale)
    colours = np.dstack([colours, (np.hypot(u, v) <= scale).astype(float)])
    inset.imshow(colours, extent=(-1, 1, 1, -1))
    inset.set_axis_off()
    inset.text(0, 1.1, f"{scale:.2g} px", ha="center", va="top", fontsize=6)


def robust_scale(values: np.ndarray, least: float) -> float:
    """The 99.5th percentile of magnitudes, rounded up to two digits, but at least `least`."""
    top = max(least, float(np.percentile(np.abs(values), 99.5)))
    step = 10.0 ** (np.floor(np.log10(top)) - 1)
    return float(np.ceil(round(top / step, 6)) * step)

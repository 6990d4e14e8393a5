"""How a feature is looked at: which of its values become a picture, on what scale, in what colours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib import colormaps

from mepipe.store.feature import Feature
from mepipe.view.colour import flow_colours, robust_scale

Kind = Literal["picture", "flow", "strain"]

LEAST_FLOW = 0.5  # px: colours of stillness should look still
LEAST_STRAIN = 0.02
_PICTURE = ("y", "x", "channel")
_FLOW = ("channel", "y", "x")
_STRAIN = ("y", "x")


@dataclass(frozen=True)
class Panel:
    """One thing to look at in a feature.

    node: the recipe node. part: what of it, where it has several; a map [u, v, strain] has two panels. units: of its
    values, empty for pictures. white: the value that is shown as white, of pictures. signed: whether strain can be
    negative, which is then blue, and 0 white; that of our own stage cannot, and begins in black.
    """

    node: str
    kind: Kind
    part: str
    units: str
    white: float
    signed: bool = False

    @property
    def name(self) -> str:
        """As titles have it."""
        return f"{self.node} ({self.part})" if self.part else self.node

    @property
    def slug(self) -> str:
        """As addresses and file names have it."""
        return f"{self.node}.{self.part}" if self.part else self.node

    def values(self, array: np.ndarray) -> np.ndarray:
        """What is shown of a sample, uint8 or float32, frames first: [T, H, W, C], [T, 2, H, W] or [T, H, W]."""
        axes = 3 if self.kind == "strain" and not self.part else 4
        frames = array if array.ndim == axes else array[None]
        if self.kind == "flow":
            frames = frames[:, :2]
        elif self.part:
            frames = frames[:, 2]
        return frames if frames.dtype == np.uint8 else frames.astype(np.float32)

    def scale(self, arrays: Iterable[np.ndarray]) -> float:
        """One scale for all that is compared: the value of full colour. Of pictures it is what is white."""
        if self.kind == "picture":
            return self.white
        least = LEAST_FLOW if self.kind == "flow" else LEAST_STRAIN
        return max((robust_scale(self.values(array), least) for array in arrays), default=least)

    def rgb(self, array: np.ndarray, scale: float) -> np.ndarray:
        """Colours of one sample's array, uint8 [T, H, W, 3]."""
        values = self.values(array)
        if self.kind == "picture":
            grey = values if values.dtype == np.uint8 else np.rint(np.clip(values / scale, 0, 1) * 255).astype(np.uint8)
            return np.broadcast_to(grey, (*grey.shape[:3], 3))
        if self.kind == "flow":
            return np.stack([_bytes(flow_colours(one, scale)) for one in values])
        return _bytes(_strain_colours(values, scale, self.signed))

    def key(self, scale: float, size: int = 96) -> np.ndarray:
        """The colours without the numbers, uint8 [H, W, 3]: a disc of radius `scale`, or a bar from 0 or -`scale`."""
        if self.kind == "flow":
            grid = np.linspace(-scale, scale, size)
            u, v = np.meshgrid(grid, grid)
            inside = np.hypot(u, v) <= scale
            return np.where(inside[..., None], _bytes(flow_colours(np.stack([u, v]), scale)), np.uint8(255))
        first = -scale if self.signed else 0
        bar = np.tile(np.linspace(first, scale, 2 * size, dtype=np.float32), (max(1, size // 8), 1))
        if self.kind == "strain":
            return _bytes(_strain_colours(bar, scale, self.signed))
        return np.repeat(_bytes(bar / scale)[..., None], 3, axis=-1)


def panels(features: Mapping[str, Feature]) -> list[Panel]:
    """What can be looked at, in the features' order: frames, flow and strain; not embeddings and landmarks."""
    return [panel for node, feature in features.items() for panel in _panels(node, feature)]


def _panels(node: str, feature: Feature) -> list[Panel]:
    dims = tuple(d for d in feature.dims if d not in ("sample", "frame"))
    units = str(feature.attributes.get("units", ""))
    if dims == _PICTURE and feature.shape[-1] in (1, 3):
        return [Panel(node, "picture", "", "", 255.0 if "255" in units or feature.dtype == np.uint8 else 1.0)]
    if dims == _FLOW and feature.shape[-3] == 2:
        return [Panel(node, "flow", "", "px", 0.0)]
    if dims == _FLOW and feature.shape[-3] == 3 and units.startswith("px"):
        return [Panel(node, "flow", "flow", "px", 0.0), Panel(node, "strain", "strain", "", 0.0)]
    signed = feature.attributes.get("stage") != "strain"
    return [Panel(node, "strain", "", "", 0.0, signed)] if dims == _STRAIN else []


def _bytes(colours: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)


def _strain_colours(values: np.ndarray, scale: float, signed: bool) -> np.ndarray:
    """RGB in 0..1. Unsigned from black; signed with 0 as white in the middle."""
    if signed:
        found: np.ndarray = colormaps["RdBu_r"](np.clip(values / scale, -1, 1) / 2 + 0.5)[..., :3]
        return found
    found = colormaps["magma"](np.clip(values / scale, 0, 1))[..., :3]
    return found

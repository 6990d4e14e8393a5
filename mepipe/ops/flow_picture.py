"""A flow as a picture, for networks that were trained on photographs.

Papers feed "the flow map" to such networks and do not say how it became three channels. There are two usual ways.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from mepipe.ops.strain import strain

Style = Literal["colour", "components"]
# Of all lengths in a picture, the share that the scale covers; what is longer is cut off.
COVERED = 99.5
# Flow in pixels, and strain, that the scale is never below: what is smaller is noise, not motion.
LEAST_FLOW, LEAST_STRAIN = 0.1, 0.01


def picture(flow: np.ndarray, style: Style = "colour") -> np.ndarray:
    """A flow float32 [2, H, W], pixels, u to the right and v down -> RGB float32 [H, W, 3] in 0..1.

    colour      direction as hue, length as saturation, stillness white, as flow fields are mostly shown since Baker et
                al. 2011; right is red, down yellow-green, left cyan, up violet, as hue runs with the angle
    components  u as red and v as green, stillness 0.5, and optical strain as blue, stillness 0

    Each picture has its own scale: the length that 99.5 % of its flow does not exceed, so that faint motion fills the
    range as strong motion does; how strong it was is lost.

    >>> picture(np.stack([np.full((4, 4), 2.0), np.zeros((4, 4))]))[0, 0].tolist()
    [1.0, 0.0, 0.0]
    """
    u, v = flow.astype(np.float64)
    length = np.hypot(u, v)
    scale = max(LEAST_FLOW, float(np.percentile(length, COVERED)))
    if style == "components":
        stretch = strain(flow.astype(np.float32)).astype(np.float64)
        most = max(LEAST_STRAIN, float(np.percentile(stretch, COVERED)))
        channels = [0.5 + u / (2 * scale), 0.5 + v / (2 * scale), stretch / most]
        return np.clip(np.stack(channels, axis=-1), 0, 1).astype(np.float32)
    hue = np.arctan2(v, u) / (2 * np.pi) % 1.0
    # of HSV with full value: a channel is full within a sixth of its hue, empty beyond a third
    away = np.abs((hue[..., None] - np.array([0, 1 / 3, 2 / 3]) + 0.5) % 1.0 - 0.5)
    pure = np.clip(2 - 6 * away, 0, 1)
    saturation = np.clip(length / scale, 0, 1)[..., None]
    return (1 - saturation * (1 - pure)).astype(np.float32)

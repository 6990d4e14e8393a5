"""What flows between stages: a clip, which is frames together with where they lie in time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Clip:
    """Frames of one sample, all of one size.

    frames: [T, H, W, C], C = 1 or 3 (RGB); uint8 in 0..255 as decoded, float32 after arithmetic.
    position: float64 [T], the frame number that each frame stands for; fractional after interpolation.
    fps: frames per second of the recording, so that `position / fps` is time in seconds.
    onset, apex, offset: frame numbers as annotated; apex is None where the database has none.
    landmarks: float32 [478, 2], pixels in these frames, of the onset frame; None before alignment.
    white: the brightest grey level: 255, or 1 after magnification.
    """

    frames: np.ndarray
    position: np.ndarray
    fps: float
    onset: int
    apex: int | None
    offset: int
    landmarks: np.ndarray | None = None
    white: float = 255.0

    def __len__(self) -> int:
        return len(self.frames)

    def with_frames(self, frames: np.ndarray, position: np.ndarray | None = None) -> Clip:
        """The same sample with other frames, and other positions where these changed too."""
        return replace(self, frames=frames, position=self.position if position is None else position)

    def levels(self) -> np.ndarray:
        """The frames in 0..255, uint8 as decoded or float32, whatever their white is."""
        return self.frames if self.white == 255 else self.frames * np.float32(255 / self.white)

    @property
    def rate(self) -> float:
        """Frames per second of these frames (hertz): the recording's rate, or that after sampling."""
        steps = np.diff(self.position)
        return self.fps if len(steps) == 0 else self.fps / float(np.mean(steps))

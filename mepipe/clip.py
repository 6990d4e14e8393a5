"""What flows between stages: a clip, which is frames together with where they lie in time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mepipe.ops import sampling, temporal


@dataclass(frozen=True)
class Clip:
    """Frames of one sample, all of one size.

    source: [S, H, W, C], C = 1 or 3 (RGB); uint8 in 0..255 as decoded, float32 after arithmetic.
    position: float64 [T], the frame number that each frame stands for; fractional after interpolation.
    fps: frames per second of the recording, so that `position / fps` is time in seconds.
    onset, apex, offset: frame numbers as annotated; apex is None where the database has none.
    landmarks: float32 [478, 2], pixels in these frames, of the onset frame; None before alignment.
    white: the brightest grey level: 255, or 1 after magnification.
    course: float64 [T, S], rows that sum to one: each frame is this sum over time of `source`, in 0..255 there and in
        0..white here. It is computed when asked for: of a long clip whose frames are sampled next, only of these.
        None: the frames are `source`.
    """

    source: np.ndarray
    position: np.ndarray
    fps: float
    onset: int
    apex: int | None
    offset: int
    landmarks: np.ndarray | None = None
    white: float = 255.0
    course: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.position)

    @cached_property
    def frames(self) -> np.ndarray:
        """The frames, [T, H, W, C]."""
        return self.source if self.course is None else self._mixed(self.course)

    def _mixed(self, course: np.ndarray) -> np.ndarray:
        scale = self.white / 255
        return temporal.mix(scale * course, self.source, onto=self.source[0] * np.float32(scale))

    def with_frames(self, frames: np.ndarray, position: np.ndarray | None = None, white: float | None = None) -> Clip:
        """The same sample with other frames, and other positions and another white where these changed too."""
        return replace(
            self,
            source=frames,
            position=self.position if position is None else position,
            white=self.white if white is None else white,
            course=None,
        )

    def at(self, where: np.ndarray, width: float = 0.0) -> Clip:
        """The clip at these fractional indices, float64 [N]: see `sampling.at`."""
        position = np.interp(where, np.arange(len(self)), self.position)
        if self.course is None:
            return self.with_frames(sampling.at(self.frames, where, width), position)
        return self.with_frames(self._mixed(sampling.weights(len(self), where, width) @ self.course), position)

    def levels(self) -> np.ndarray:
        """The frames in 0..255, uint8 as decoded or float32, whatever their white is."""
        return self.frames if self.white == 255 else self.frames * np.float32(255 / self.white)

    @property
    def rate(self) -> float:
        """Frames per second of these frames (hertz): the recording's rate, or that after sampling."""
        steps = np.diff(self.position)
        return self.fps if len(steps) == 0 else self.fps / float(np.mean(steps))

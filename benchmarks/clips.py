"""Demo clips with known motion, aligned, taken through the recipe's nodes, and scored."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import cv2
import numpy as np

from mepipe.clip import Clip
from mepipe.datasets.demo import plan, render
from mepipe.datasets.demo.plan import Entry
from mepipe.datasets.demo.render import ClipSpec
from mepipe.datasets.demo.truth import Truth
from mepipe.ops.align import Aligned, align
from mepipe.ops.landmarks import FaceMesh
from mepipe.ops.stabilise import apply, invert
from mepipe.recipe.model import load
from mepipe.recipe.resolve import Resolved, resolve

FPS = 200.0

# What a clip counts as is the first group that it has a unit of.
_GROUPS = {
    "AU4 (+ others)": {4},
    "AU1, 2 (+5)": {1, 2},
    "AU12, 6+12": {12},
    "AU9, 10": {9, 10},
    "AU14, 15, 20": {14, 15, 20},
    "AU7, 17 (+23)": {7, 17},
}


def group(spec: ClipSpec) -> str:
    """Which part of the face moves."""
    units = set(map(int, re.findall(r"\d+", spec.aus)))
    return next(name for name, members in _GROUPS.items() if units & members)


@cache
def entries() -> tuple[Entry, ...]:
    """The clips of `mepipe demo` with its defaults."""
    return tuple(plan.entries(subjects=8, clips=6, seed=0))


def spread(per_group: int) -> list[ClipSpec]:
    """So many clips of each group of action units (fewer where there are not), evenly over the demo."""
    chosen = []
    for name in _GROUPS:
        members = [entry.spec for entry in entries() if group(entry.spec) == name]
        picks = np.linspace(0, len(members) - 1, min(per_group, len(members))).round().astype(int)
        chosen += [members[index] for index in picks]
    return chosen


@cache
def nodes() -> dict[str, Resolved]:
    """The nodes of the recipe `features`: what is measured is what is extracted."""
    return resolve(load("features"))


@cache
def mesh() -> FaceMesh:
    return FaceMesh()


@dataclass(frozen=True, eq=False)
class Known:
    """An aligned clip, frames uint8 [T, 224, 224], with its truth.

    transforms: float64 [T, 2, 3], pixels of the crop -> pixels of rendered frame t. landmarks: [478, 2] in the crop.
    """

    frames: np.ndarray
    transforms: np.ndarray
    landmarks: np.ndarray
    truth: Truth

    @property
    def clip(self) -> Clip:
        """As the align stage hands it on."""
        colour = np.repeat(self.frames[..., None], 3, axis=-1)
        numbers = self.truth.numbers
        apex = int(numbers[self.truth.apex])
        return Clip(colour, numbers.astype(np.float64), FPS, int(numbers[0]), apex, int(numbers[-1]), self.landmarks)

    @cached_property
    def peak(self) -> np.ndarray:
        """The action units' displacement at the apex as the crop of the onset sees it: float32 [2, 224, 224]."""
        size = self.frames.shape[1]
        matrix = self.transforms[0]
        grid = np.mgrid[:size, :size][::-1].reshape(2, -1).T.astype(np.float64)
        x, y = apply(matrix, grid).T.reshape(2, size, size).astype(np.float32)
        seen = [cv2.remap(axis, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for axis in self.truth.peak]
        linear = np.linalg.inv(matrix[:, :2])
        return np.einsum("ij,jyx->iyx", linear, np.stack(seen)).astype(np.float32)

    def amounts(self, clip: Clip) -> np.ndarray:
        """How far the expression is, 0..1, at the frames of a sampled clip, relative to the first: float64 [T]."""
        return np.interp(clip.position, self.truth.numbers, self.truth.course)


def rendered(spec: ClipSpec) -> tuple[np.ndarray, Truth]:
    """Frames uint8 [T, H, W, 1] and their truth."""
    frames, truth = render.clip(spec)
    return frames[..., None], truth


def aligned(frames: np.ndarray, truth: Truth, **otherwise: object) -> Known:
    """Rendered frames after alignment, as the recipe has it but for some parameters."""
    found = place(zip(truth.numbers.tolist(), frames, strict=True), **otherwise)
    return Known(found.frames[..., 0], found.transforms, found.landmarks, truth)


def place(frames: Iterable[tuple[int, np.ndarray]], **otherwise: object) -> Aligned:
    """`align` with the recipe's parameters but for some."""
    params = nodes()["align"].params.model_dump(exclude={"landmarker"}) | otherwise
    return align(frames, mesh(), **params)


@cache
def still(spec: ClipSpec) -> Known:
    """A clip without head motion, cropped and not stabilised: what ideal alignment would give."""
    return aligned(*rendered(replace(spec, head_motion=0.0)), stabilise=False)


def value(clip: Clip, node: str) -> Any:
    """What a node of the recipe gives for an aligned clip: a Clip or an array."""
    if node == "align":
        return clip
    step = nodes()[node]
    return step.stage.compute(value(clip, step.input), step.params)


def rigid_error(known: Known) -> float:
    """How far the face as aligned drifts from where it is in the first frame: px of the crop, rms over landmarks
    and frames, the true motion of the head taken out."""
    start = apply(known.transforms[0], known.landmarks)
    pitch = np.hypot(*known.transforms[0][:, 0])
    drift = [
        apply(invert(known.truth.rigid(index)), apply(matrix, known.landmarks)) - start
        for index, matrix in enumerate(known.transforms)
    ]
    return float(np.sqrt((np.square(drift) / pitch**2).sum(axis=-1).mean()))


@dataclass(frozen=True)
class Score:
    """Flow against truth, over all the fields of a clip.

    inside, outside: mean end-point error in px where the true motion is above 20 % of its peak, and below 2 %.
    relative: error inside, relative to what zero flow would score. gain: projection on the truth inside; ideal is 1.
    """

    inside: float
    outside: float
    relative: float
    gain: float


def score(flow: np.ndarray, peak: np.ndarray, amounts: np.ndarray) -> Score:
    """flow: [N, 2, H, W]. peak: [2, H, W], the true motion at the apex; amounts: [N], factors on it."""
    size = np.hypot(*peak)
    inside, outside = size > 0.2 * size.max(), size < 0.02 * size.max()
    truth = amounts[:, None, None, None] * peak
    error = np.hypot(*np.moveaxis(flow - truth, 1, 0))
    moved = np.hypot(*np.moveaxis(truth, 1, 0))
    return Score(
        inside=float(error[:, inside].mean()),
        outside=float(error[:, outside].mean()),
        relative=float(error[:, inside].sum() / moved[:, inside].sum()),
        gain=float((flow * truth)[:, :, inside].sum() / np.square(truth)[:, :, inside].sum()),
    )

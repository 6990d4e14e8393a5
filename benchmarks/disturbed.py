"""What happens on a face beside the expression, drawn over rendered demo clips: blinks, speech, a head that turns."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from benchmarks import clips
from mepipe.datasets.demo import motion, render
from mepipe.datasets.demo.render import ClipSpec
from mepipe.datasets.demo.truth import Truth
from mepipe.ops.stabilise import apply, invert

# Corners, upper and lower lid, and brow above it, of each eye, in the face mesh.
_EYES = ((33, 133, 159, 145, 52), (263, 362, 386, 374, 282))
# Seconds that a lid takes down and up again (spontaneous blinks last .1 to .4 s, falling twice as fast as rising).
_DOWN, _UP = 0.075, 0.15
# Syllables in a second of speech, and how far the jaw goes down in one, as a share of the face's width: 7 px of a crop.
_SYLLABLES, _OPENING = 5.0, 0.04
# Under the nose, lower lip, chin, in the face mesh; and the sides of the face.
_NOSE, _LIP, _CHIN, _SIDES = 2, 17, 152, (127, 356)

# Standard deviation of the head's turning, radians, in either direction out of the picture's plane.
_TURN = np.deg2rad(0.5)


def blinking(spec: ClipSpec) -> tuple[np.ndarray, Truth]:
    """As `clips.rendered`, with one blink of both eyes at a moment drawn from the clip's seed: the upper lid's skin is
    stretched down over the eye."""
    frames, truth, landmarks, rng = _clean(spec)
    closed = _course(len(frames), rng.uniform(0.1, 0.9) * len(frames))
    shut = [_shut(frame, landmarks, truth.rigid(i), closed[i]) for i, frame in enumerate(frames)]
    return _exposed(shut, truth, rng), truth


def speaking(spec: ClipSpec) -> tuple[np.ndarray, Truth]:
    """As `clips.rendered`, of somebody who speaks: the jaw goes down and up, and the skin between it and the nose is
    stretched. At the onset the mouth is as it happens to be in a syllable."""
    frames, truth, landmarks, rng = _clean(spec)
    phase = np.pi * (_SYLLABLES * np.arange(len(frames)) / clips.FPS + rng.uniform())
    opened = np.sin(phase) ** 2 - np.sin(phase[0]) ** 2
    width = float(np.hypot(*(landmarks[_SIDES[1]] - landmarks[_SIDES[0]])))
    nose, lip, chin = landmarks[[_NOSE, _LIP, _CHIN], 1]
    height, across = frames.shape[1:]
    grid = np.stack(np.meshgrid(np.arange(across), np.arange(height)), axis=-1).reshape(-1, 2).astype(np.float64)
    spoken = []
    for index, frame in enumerate(frames):
        head = truth.rigid(index)
        x, y = apply(invert(head), grid).T  # where the head was at the onset
        beside = np.exp(-(((x - landmarks[_CHIN, 0]) / (0.35 * width)) ** 4))
        share = np.interp(y, [nose, lip, chin, chin + 0.4 * width], [0, 1, 1, 0]) * beside
        onto = apply(head, np.column_stack([x, y - opened[index] * _OPENING * width * share])).astype(np.float32)
        maps = onto.reshape(height, across, 2)
        spoken.append(cv2.remap(frame.astype(np.float32), maps[..., 0], maps[..., 1], cv2.INTER_CUBIC))
    return _exposed(spoken, truth, rng), truth


def turning(spec: ClipSpec) -> tuple[np.ndarray, Truth]:
    """As `clips.rendered`, of a head that turns a little to the sides, up and down: an ellipsoid, seen from afar."""
    frames, truth, landmarks, rng = _clean(spec)
    yaw, pitch = (motion.smooth_path(rng, len(frames), _TURN) for _ in range(2))
    x, y = np.mgrid[: frames.shape[1], : frames.shape[2]][::-1].astype(np.float32)
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    middle, radius = (low + high) / 2, 0.6 * (high - low)  # the head goes on beyond the face
    round_about = ((x - middle[0]) / radius[0]) ** 2 + ((y - middle[1]) / radius[1]) ** 2
    depth = radius[0] * np.sqrt(np.clip(1 - round_about, 0, 1)).astype(np.float32)
    turned = [
        cv2.remap(f.astype(np.float32), x - depth * np.float32(a), y - depth * np.float32(b), cv2.INTER_CUBIC)
        for f, a, b in zip(frames, yaw, pitch, strict=True)
    ]
    return _exposed(turned, truth, rng), truth


def _clean(spec: ClipSpec) -> tuple[np.ndarray, Truth, np.ndarray, np.random.Generator]:
    """Frames without noise, uint8 [T, H, W], the clip's truth with it, landmarks of the onset frame, randomness."""
    frames, _ = render.clip(replace(spec, noise=0.0))
    landmarks = clips.mesh()(frames[0][..., None])
    assert landmarks is not None
    return frames, render.truth_of(spec), landmarks, np.random.default_rng([*spec.seed, 9])


def _exposed(frames: list[np.ndarray], truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """The frames, float32 [H, W], with sensor noise: uint8 [T, H, W, 1]."""
    out = np.empty((len(frames), *frames[0].shape, 1), np.uint8)
    for result, frame in zip(out, frames, strict=True):
        grain = rng.standard_normal(frame.shape) * np.sqrt(truth.noise[0] + truth.noise[1] * np.maximum(frame, 0))
        result[..., 0] = np.clip(np.rint(frame + grain), 0, 255)
    return out


def _course(count: int, middle: float) -> np.ndarray:
    """How far the lids are down, 0..1: float64 [count]."""
    seconds = (np.arange(count) - middle) / clips.FPS
    phase = np.clip(np.where(seconds < 0, seconds / _DOWN, seconds / _UP), -1, 1)
    return 0.5 + 0.5 * np.cos(np.pi * phase)


def _shut(frame: np.ndarray, landmarks: np.ndarray, head: np.ndarray, amount: float) -> np.ndarray:
    """A frame whose upper lids have gone down by `amount` of the eyes' opening: float32 [H, W]."""
    shut = frame.astype(np.float32)
    for outer, inner, upper, lower, brow in _EYES:
        corners, half = landmarks[[outer, inner]].mean(axis=0), 0.55 * abs(landmarks[outer, 0] - landmarks[inner, 0])
        high, low = landmarks[upper, 1], landmarks[lower, 1] + 1
        rows = np.arange(int(landmarks[brow, 1]) - 8, int(low) + 8)
        columns = np.arange(int(corners[0] - half) - 8, int(corners[0] + half) + 8)
        grid = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2).astype(np.float64)
        x, y = apply(invert(head), grid).T  # where the head was at the onset
        arch = np.clip(1 - ((x - corners[0]) / half) ** 2, 0, 1)
        edge = corners[1] + (high - corners[1]) * arch
        # A closed lid's edge lies on the lower lid; the skin above gives way as far as the brow.
        lowered = edge + amount * (low - high) * arch
        top = edge - 0.6 * (high - landmarks[brow, 1]) * arch
        skin = (arch > 0) & (y > top) & (y <= lowered)
        y = np.where(skin, top + (y - top) * (edge - top) / np.maximum(lowered - top, 1e-6), y)
        onto = apply(head, np.column_stack([x, y])).astype(np.float32).reshape(len(rows), len(columns), 2)
        shut[np.ix_(rows, columns)] = cv2.remap(frame, onto[..., 0], onto[..., 1], cv2.INTER_CUBIC)
    return shut

"""A release of demo clips, some with a fault each, and what is to be found in them."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import cv2
import numpy as np

from benchmarks import clips, disturbed
from mepipe.datasets.demo import plan, portraits, render
from mepipe.datasets.demo.plan import Entry

Frames = np.ndarray  # uint8 [T, H, W]
QUALITY = 95


@dataclass(frozen=True)
class Clip:
    """One clip to be written: its row, its frames, the quality of its JPEG files. lacks: frames (indices) without a
    file. cut_from: the clip whose files these are, if they are another's."""

    id: str
    entry: Entry
    frames: Frames
    apex: int
    quality: int = QUALITY
    first: int = 1
    lacks: tuple[int, ...] = ()
    cut_from: str = ""


def clean(entry: Entry, name: str = "") -> Clip:
    """As the demo has it."""
    return Clip(name or entry.name, entry, render.clip(entry.spec)[0], entry.spec.apex)


def wrong_apex(entry: Entry) -> Clip:
    """The apex is annotated two frames before the offset."""
    return replace(clean(entry, f"{entry.name}-apex"), apex=entry.spec.frames - 3)


def blink(entry: Entry) -> Clip:
    """The lids close and open once, in 0.225 s, near the middle: `disturbed` draws the moment from the seed, so that is
    sought."""
    spec = next(
        spec
        for spec in (replace(entry.spec, frames=54, seed=(*entry.spec.seed, k)) for k in count())
        if 0.4 < np.random.default_rng([*spec.seed, 9]).uniform(0.1, 0.9) < 0.5
    )
    return Clip(f"{entry.name}-blink", entry, disturbed.blinking(spec)[0][..., 0], spec.apex)


def frozen(entry: Entry) -> Clip:
    """A recorder that repeats the picture at a third of the clip for another third."""
    whole = clean(entry, f"{entry.name}-frozen")
    third = len(whole.frames) // 3
    whole.frames[third : 2 * third] = whole.frames[third]
    return whole


def turn(entry: Entry, degrees: float = 4.0) -> Clip:
    """The head turns to the side and back: a field that no shift, rotation and growth undoes."""
    course = np.sin(np.pi * np.arange(entry.spec.frames) / (entry.spec.frames - 1)) ** 2
    return Clip(f"{entry.name}-turn", entry, _turned(entry, degrees * course), entry.spec.apex)


def light(entry: Entry, levels: int = 12) -> Clip:
    """A lamp goes on in the middle."""
    whole = clean(entry, f"{entry.name}-light")
    half = len(whole.frames) // 2
    whole.frames[half:] = np.clip(whole.frames[half:].astype(int) + levels, 0, 255)
    return whole


def blur(entry: Entry, sigma: float = 3.0) -> Clip:
    """Out of focus: sigma in px of the recording."""
    sharp, _ = render.clip(replace(entry.spec, noise=0.0))
    soft = np.stack([cv2.GaussianBlur(f, (0, 0), sigma).astype(np.float32) for f in sharp])
    return Clip(f"{entry.name}-blur", entry, _noisy(soft, entry), entry.spec.apex)


def flat(entry: Entry) -> Clip:
    """A face that does nothing."""
    return Clip(f"{entry.name}-flat", entry, render.clip(replace(entry.spec, peak=0.01))[0], entry.spec.apex)


def from_the_side(entry: Entry, degrees: float = 25.0) -> Clip:
    """The head is turned away in all frames."""
    return Clip(f"{entry.name}-side", entry, _turned(entry, np.full(entry.spec.frames, degrees)), entry.spec.apex)


def stranger(entry: Entry, other: Entry) -> Clip:
    """Another person's clip, filed under this subject."""
    return replace(clean(other, f"{entry.name}-stranger"), entry=entry)


def gaps(entry: Entry) -> Clip:
    """A recorder that dropped every eighth frame."""
    whole = clean(entry, f"{entry.name}-gaps")
    return replace(whole, lacks=tuple(range(4, len(whole.frames), 8)))


def part(clip: Clip, start: int) -> Clip:
    """A second sample, cut from the same recording from frame `start` (an index, before the apex) on."""
    cut = replace(clip, frames=clip.frames[start:], apex=clip.apex - start, first=clip.first + start)
    return replace(cut, id=f"{clip.id}-part", cut_from=clip.id)


def _turned(entry: Entry, degrees: np.ndarray) -> Frames:
    """The clip with its head turned sideways by so much in each frame."""
    sharp, _ = render.clip(replace(entry.spec, noise=0.0))
    landmarks = clips.mesh()(sharp[0][..., None])
    assert landmarks is not None
    turned = [_yawed(frame, landmarks, float(a)) for frame, a in zip(sharp, np.deg2rad(degrees), strict=True)]
    return _noisy(np.stack(turned), entry)


def _yawed(frame: np.ndarray, landmarks: np.ndarray, angle: float) -> np.ndarray:
    """A head like an ellipsoid, seen from afar, turned by an angle: float32 [H, W]."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    middle, radius = (low + high) / 2, 0.6 * (high - low)
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]].astype(np.float32)
    round_about = ((x - middle[0]) / radius[0]) ** 2 + ((y - middle[1]) / radius[1]) ** 2
    depth = radius[0] * np.sqrt(np.clip(1 - round_about, 0, 1)).astype(np.float32)
    return cv2.remap(frame.astype(np.float32), x - depth * np.float32(angle), y, cv2.INTER_CUBIC)


def _noisy(frames: np.ndarray, entry: Entry) -> Frames:
    rng = np.random.default_rng([*entry.spec.seed, 8])
    grain = rng.standard_normal(frames.shape, np.float32)
    variance = render.READ_VARIANCE + render.SHOT_VARIANCE * np.maximum(frames, 0)
    return np.clip(np.rint(frames + grain * np.sqrt(variance)), 0, 255).astype(np.uint8)


def write(root: Path, made: Iterable[Clip]) -> Path:
    """Write the clips' frames and their manifest, one clip after another; returns the manifest's path."""
    with (root / "lab.csv").open("w", newline="") as file:
        table = csv.writer(file)
        columns = ["id", "subject", "clip", "onset", "apex", "offset", "fps", "emotion", "aus", "missing", "note"]
        table.writerow(columns)
        for clip in made:
            folder = root / "clips" / (clip.cut_from or clip.id)
            folder.mkdir(parents=True, exist_ok=True)
            lacks = {clip.first + index for index in clip.lacks}
            for number, frame in enumerate(clip.frames, start=clip.first):
                if number in lacks or clip.cut_from:
                    continue
                content = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, clip.quality])[1].tobytes()
                (folder / f"{number:05d}.jpg").write_bytes(content)
            last = clip.first + len(clip.frames) - 1
            row = [clip.id, clip.entry.subject, f"clips/{folder.name}", clip.first, clip.first + clip.apex, last]
            missing = " ".join(map(str, sorted(lacks)))
            table.writerow([*row, clip.entry.fps, clip.entry.emotion, "", missing, ""])
    return root / "lab.csv"


def same(clip: Clip) -> Clip:
    """The same files under another id."""
    return replace(clip, id=f"{clip.id}-same")


def again(clip: Clip, quality: int = 70) -> Clip:
    """The same pictures under another id, with other frame numbers, compressed again."""
    return replace(clip, id=f"{clip.id}-again", quality=quality, first=400)


def nobody(entry: Entry) -> Clip:
    """No face: it fails."""
    grey = _noisy(np.full((5, *portraits.FRAME), 90, np.float32), entry)
    return Clip(f"{entry.name}-nobody", entry, grey, apex=2)


def entries(subjects: int, each: int, seed: int) -> list[Entry]:
    """Planned clips of the demo, all of 32 frames: few, but twice as many as are stored."""
    planned = plan.entries(subjects, each, seed)
    return [replace(e, spec=replace(e.spec, frames=32, apex=min(e.spec.apex, 15))) for e in planned]

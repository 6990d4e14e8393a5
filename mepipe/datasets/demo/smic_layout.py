"""A look-alike of SMIC: the raw clips of the fast camera, in colour, 100 fps.

As found in the real one: no sheet, the label is a folder; subjects unpadded; frame numbers that go on through a
subject's recordings, padded to six digits and longer where they have to be; folders of what is no micro-expression.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mepipe.datasets.demo.faults import Fault, numbers, plant
from mepipe.datasets.demo.plan import Entry
from mepipe.datasets.findings import Severity

FPS = (100.0,)
_HOME = "SMIC_all_raw/HS"
# Subjects of the real release but for the two that have the planted faults.
_SUBJECTS = (1, 2, 4, 5, 6, 8, 9, 11, 12, 13, 14, 15, 19, 20)
_BAD, _SLIP = "s3", "s18"
_EMOTIONS = {"Happiness": "positive", "Surprise": "surprise"}
_CODES = {"negative": "ne", "positive": "po", "surprise": "sur"}
# Where the frame numbers of a subject begin; of others, at 30,000.
_FIRST = {5: 1_000_000, 12: 1_030_000, 19: 17_000_000, 20: 17_550_000}
_FRAMES_OF_A_VIDEO = 30_000


def adapt(entries: Sequence[Entry]) -> list[Entry]:
    """The clips as SMIC names, numbers and labels them; it has no class Other, so clips of that are left out."""
    order: dict[str, int] = {}
    count: Counter[tuple[int, str]] = Counter()
    adapted = []
    for entry in entries:
        if entry.emotion == "Other":
            continue
        index = order.setdefault(entry.subject, len(order))
        subject = _SUBJECTS[index] if index < len(_SUBJECTS) else 21 + index - len(_SUBJECTS)
        emotion = _EMOTIONS.get(entry.emotion, "negative")
        count[subject, emotion] += 1
        first = entry.spec.first + _FIRST.get(subject, 30_000) + _FRAMES_OF_A_VIDEO * (entry.inducement - 1)
        adapted.append(
            replace(
                entry,
                name=f"s{subject}_{_CODES[emotion]}_{count[subject, emotion]:02d}",
                subject=f"s{subject}",
                emotion=emotion,
                spec=replace(entry.spec, first=first),
            )
        )
    return adapted


def clip_folder(entry: Entry) -> str:
    """Where a clip's frames lie, relative to the release: 'SMIC_all_raw/HS/s1/micro/negative/s1_ne_01'."""
    return f"{_HOME}/{entry.subject}/micro/{entry.emotion}/{entry.name}"


def frame_name(number: int) -> str:
    """'image064321.bmp'."""
    return f"image{number:06d}.bmp"


def write_frames(root: Path, entry: Entry, frames: np.ndarray) -> None:
    """Write uint8 [T, H, W], or [T, H, W, 3] in RGB, as 24-bit BMP files."""
    import cv2

    folder = root / clip_folder(entry)
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=entry.onset):
        colour = np.repeat(frame[:, :, None], 3, axis=2) if frame.ndim == 2 else np.ascontiguousarray(frame[:, :, ::-1])
        (folder / frame_name(number)).write_bytes(cv2.imencode(".bmp", colour)[1].tobytes())


def write_sheets(root: Path, entries: Sequence[Entry], faults: bool = False) -> list[Fault]:
    """There is no sheet: this adds what else lies about and, with `faults`, bad folders, which are returned.

    Planted clips are of two subjects of their own, with pictures of the first entry, and no ground truth.
    """
    for subject in {entry.subject for entry in entries}:
        (root / _HOME / subject / "non_micro").mkdir(parents=True, exist_ok=True)
    if not faults:
        return []
    source = root / clip_folder(entries[0])
    planted = []
    for fault, names in _bad_folders():
        plant(source, root / fault.where, names)
        planted.append(fault)
    return planted


def _bad_folders() -> list[tuple[Fault, list[str]]]:
    """What is wrong with copies of the real release, and the names of the frames in each folder."""
    whole = _names(numbers(64_321, 64_350))
    return [
        _bad("a clip in the folder of another expression, as sheets have it", _SLIP, "negative", "s18_sur_03", "note",
             "the name is followed", {"emotion": "surprise"}, whole),
        _bad("a clip in the folder of another expression", _BAD, "negative", "s3_po_21", "warning",
             "the name is followed", {"emotion": "positive"}, whole),
        _bad("an empty folder", _BAD, "surprise", "s3_sur_22", "error", "left out"),
        _bad("one frame missing", _BAD, "surprise", "s3_sur_23", "warning", "kept, listed as missing",
             {"missing": (64_330,), "onset": 64_321, "offset": 64_350}, _names(numbers(64_321, 64_350, [64_330]))),
        _bad("two frames missing", _BAD, "positive", "s3_po_08", "warning", "kept, listed as missing",
             {"missing": (64_330, 64_340)}, _names(numbers(64_321, 64_350, [64_330, 64_340]))),
        _bad("four frames missing", _BAD, "negative", "s3_ne_24", "error", "left out", None,
             _names(numbers(64_321, 64_350, range(64_330, 64_334)))),
        _bad("a clip of another subject", _BAD, "negative", "s8_ne_25", "error", "left out", None, whole),
        _bad("a folder that is no clip", _BAD, "negative", "new", "error", "left out", None, whole),
        _bad("a frame number twice", _BAD, "negative", "s3_ne_26", "error", "left out", None,
             [*whole, "reg_image064330.bmp"]),
        _bad("a clip twice", _SLIP, "surprise", "s18_sur_03", "error", "the first is read",
             {"emotion": "surprise", "clip": f"{_HOME}/{_SLIP}/micro/negative/s18_sur_03"}, whole),
        (Fault("a folder that is no expression", f"{_HOME}/{_BAD}/micro/unsure", "", "warning", "passed over"), whole),
    ]  # fmt: skip


def _bad(
    kind: str,
    subject: str,
    emotion: str,
    clip: str,
    severity: Severity,
    handled: str,
    becomes: Mapping[str, Any] | None = None,
    frames: Sequence[str] = (),
) -> tuple[Fault, list[str]]:
    where = f"{_HOME}/{subject}/micro/{emotion}/{clip}"
    return Fault(kind, where, clip, severity, handled, becomes), list(frames)


def _names(frames: Iterable[int]) -> list[str]:
    return [frame_name(number) for number in frames]

"""A look-alike of DFME's public part: flat folders for train, test A and test B, and a sheet for each.

As found in the real one: 200, 300 or 500 fps by subject; frame numbers within the clip, often from 0, of five digits;
folders within folders of the same name; subjects of one part only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mepipe.datasets.demo import workbook
from mepipe.datasets.demo.faults import BadRow, Fault, numbers, plant
from mepipe.datasets.demo.plan import Entry
from mepipe.datasets.findings import Severity

FPS = (200.0, 300.0, 500.0)
EMOTIONS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")  # in the order of EmotionId
_COLUMNS = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU")
_PAGE = "Sheet1"
_SHEETS = "full_release_annotation/full_release_annotation"
# By turn of the subjects, so that four of them fill all three: folder of the frames, sheet.
_TRAIN = ("train_data/train_data", "training_full_with_AU.xlsx")
_TEST_B = ("test_data_B/test_data_B", "testB_full_with_AU.xlsx")
_PARTS = (_TRAIN, ("test_data_A/test_data_A", "testA_full_with_AU.xlsx"), _TEST_B, _TRAIN)


def adapt(entries: Sequence[Entry]) -> list[Entry]:
    """The clips as DFME names, numbers and labels them: sub0001_01, half of them from frame 0; there is no Other."""
    subjects = list(dict.fromkeys(entry.subject for entry in entries))
    clips: Counter[str] = Counter()
    found = []
    for entry in entries:
        if entry.emotion.lower() not in EMOTIONS:
            continue
        subject = f"sub{subjects.index(entry.subject) + 1:04d}"
        clips[subject] += 1
        units = str(entry.aus).strip().translate(str.maketrans("", "", "ABCDE"))  # DFME has sides, no intensities
        first = 0 if entry.spec.first % 2 else entry.spec.first % 90
        found.append(
            replace(
                entry,
                name=f"{subject}_{clips[subject]:02d}",
                subject=subject,
                emotion=entry.emotion.lower(),
                aus=int(units) if units.isdigit() else units,
                spec=replace(entry.spec, first=first),
            )
        )
    return found


def clip_folder(entry: Entry) -> str:
    """Where a clip's frames lie, relative to the release: 'train_data/train_data/sub0001_01'."""
    return f"{_part(entry.name)[0]}/{entry.name}"


def write_frames(root: Path, entry: Entry, frames: np.ndarray) -> None:
    """Write uint8 [T, H, W] as PNG files, gray (whether DFME's are is not known): 00000.png, 00001.png, ..."""
    import cv2

    folder = root / clip_folder(entry)
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=entry.onset):
        encoded = cv2.imencode(".png", frame)[1]
        (folder / f"{number:05d}.png").write_bytes(encoded.tobytes())


def write_sheets(root: Path, entries: Sequence[Entry], faults: bool = False) -> list[Fault]:
    """Write the sheets of the three parts, and with `faults` bad rows and folders: these are returned.

    Planted clips have folders of their own, with pictures of the first entry, and no ground truth.
    """
    rows: dict[str, list[tuple[Any, ...]]] = {sheet: [] for _, sheet in _PARTS}
    for e in entries:
        rows[_part(e.name)[1]].append(_row(e.name, (e.onset, e.apex, e.offset), e.emotion, int(e.fps), e.aus))
    planted = []
    for bad in _bad_rows(entries[0]) if faults else ():
        sheet = _TEST_B[1] if bad.fault.clip == entries[0].name else _TRAIN[1]  # a name that two parts have
        rows[sheet].append(bad.cells)
        planted.append(replace(bad.fault, where=f"{sheet}, row {1 + len(rows[sheet])}"))
        if bad.frames:
            _plant(root, entries[0], f"{_TRAIN[0]}/{bad.fault.clip}", bad.frames)
    if faults:
        _plant(root, entries[0], f"{_TRAIN[0]}/sub0908_01", numbers(0, 20))
        where = f"{_TRAIN[0]}/sub0908_01"
        planted.append(Fault("a folder without a row", where, "", "warning", "passed over"))
    (root / _SHEETS).mkdir(parents=True)
    for sheet, cells in rows.items():
        workbook.write(root / _SHEETS / sheet, {_PAGE: [_COLUMNS, *cells]})
    return planted


def _part(name: str) -> tuple[str, str]:
    return _PARTS[(int(name[3:7]) - 1) % len(_PARTS)]


def _row(name: str, course: tuple[Any, Any, Any], emotion: str, fps: int | None, aus: int | str) -> tuple[Any, ...]:
    return (name.partition("_")[0], name, *course, emotion, EMOTIONS.index(emotion), fps, aus)


def _plant(root: Path, entry: Entry, folder: str, frames: Sequence[int]) -> None:
    plant(root / clip_folder(entry), root / folder, [f"{number:05d}.png" for number in frames])


def _bad_rows(first: Entry) -> list[BadRow]:
    """DFME's published sheets are clean; what is wrong here is what may be wrong with a copy."""
    again = Fault("a name in two parts", "", first.name, "error", "the first is read", {"split": "train"})
    course = (first.onset, first.apex, first.offset)
    return [
        _bad("no frame rate", "sub0901_01", (0, 30, 60), "error", "left out", fps=None),
        _bad("a rate that DFME does not have", "sub0902_01", (0, 30, 60), "warning", "kept", {"fps": 100.0}, fps=100),
        _bad("no folder", "sub0903_01", (0, 30, 60), "error", "left out", frames=()),
        _bad(
            "two frames missing",
            "sub0904_01",
            (0, 30, 60),
            "warning",
            "kept, listed as missing",
            {"missing": (7, 40)},
            frames=numbers(0, 60, [7, 40]),
        ),
        _bad("offset beyond the frames", "sub0905_01", (0, 30, 60), "error", "left out", frames=numbers(0, 50)),
        _bad("longer than 1 s", "sub0906_01", (0, 30, 220), "note", "kept", {"offset": 220}),
        BadRow(
            Fault(
                "an emotion that is not its number",
                "",
                "sub0907_01",
                "warning",
                "the word is kept",
                {"emotion": "fear"},
            ),
            ("sub0907", "sub0907_01", 0, 30, 60, "fear", 5, 200, "4"),
            numbers(0, 60),
        ),
        BadRow(again, _row(first.name, course, first.emotion, 200, first.aus)),
    ]


def _bad(
    kind: str,
    clip: str,
    course: tuple[Any, Any, Any],
    severity: Severity,
    handled: str,
    becomes: Mapping[str, Any] | None = None,
    fps: int | None = 200,
    frames: tuple[int, ...] | None = None,
) -> BadRow:
    """A row with the onset, apex and offset of `course`, and by default a folder with all of its frames."""
    there = numbers(course[0], course[2]) if frames is None else frames
    return BadRow(Fault(kind, "", clip, severity, handled, becomes), _row(clip, course, "disgust", fps, "4+7"), there)

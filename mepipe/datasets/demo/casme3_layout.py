"""A look-alike of CAS(ME)^3, part A: the long videos in colour with depth maps, 30 fps.

As found in the real one: the frames of all expressions of a video in one folder, unpadded, beginning with 1; depth maps
in a folder of their own or, of some subjects, one level above; subjects without the dot in folders; a sheet whose
cells are all text, rows sorted by subject as text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mepipe.datasets.demo import workbook
from mepipe.datasets.demo.faults import Fault, numbers, plant
from mepipe.datasets.demo.plan import Entry

FPS = (30.0,)
SHEET = "part_A/annotation/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
COLUMNS = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")
VIDEOS = "abcdefghijklm"
JPEG_QUALITY = 95
_HOME = "part_A/data/part_A"
# Subjects of the real release but for those that have the planted faults.
_BAD = (14, 40, 145, 149, 168, 214, 216, 217)
_SUBJECTS = tuple(n for n in (*range(1, 16), 17, *range(39, 43), 77, *range(138, 218)) if n not in _BAD)
_EMOTIONS = {"Happiness": "happy", "Sadness": "sad", "Other": "others", "Contempt": "disgust"}
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII")
_DEPTH = 800  # of all pixels, in its unit, which may be millimetres


def adapt(entries: Sequence[Entry]) -> list[Entry]:
    """The clips as CAS(ME)^3 names, numbers and labels them, in the order of its sheet."""
    order: dict[str, int] = {}
    adapted = []
    for entry in entries:
        index = order.setdefault(entry.subject, len(order))
        number = _SUBJECTS[index] if index < len(_SUBJECTS) else 218 + index - len(_SUBJECTS)
        adapted.append(
            replace(
                entry,
                name=f"spNO.{number}_{VIDEOS[entry.inducement - 1]}_{entry.onset}",
                subject=f"spNO.{number}",
                emotion=_EMOTIONS.get(entry.emotion, entry.emotion.lower()),
                aus=re.sub(r"(?<=[0-9])[A-E]|^A", "", str(entry.aus).strip()),
            )
        )
    return sorted(adapted, key=lambda entry: entry.subject)


def clip_folder(entry: Entry) -> str:
    """Where a clip's frames lie, relative to the release: 'part_A/data/part_A/spNO.1/a/color'."""
    return (_video(entry.subject, VIDEOS[entry.inducement - 1]) / "color").as_posix()


def write_frames(root: Path, entry: Entry, frames: np.ndarray) -> None:
    """Write uint8 [T, H, W], or [T, H, W, 3] in RGB, as colour JPEG files, and a flat depth map with each."""
    import cv2

    folder = root / clip_folder(entry)
    depth = folder.parent if int(entry.subject[-1]) % 3 == 0 else folder.parent / "depth"
    for place in (folder, depth):
        place.mkdir(parents=True, exist_ok=True)
    flat = cv2.imencode(".png", np.full(frames.shape[1:3], _DEPTH, np.uint16))[1].tobytes()
    for number, frame in enumerate(frames, start=entry.onset):
        colour = np.repeat(frame[:, :, None], 3, axis=2) if frame.ndim == 2 else np.ascontiguousarray(frame[:, :, ::-1])
        encoded = cv2.imencode(".jpg", colour, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        (folder / f"{number}.jpg").write_bytes(encoded.tobytes())
        (depth / f"{number}.png").write_bytes(flat)


def write_sheets(root: Path, entries: Sequence[Entry], faults: bool = False) -> list[Fault]:
    """Write the annotation workbook, and with `faults` bad rows and folders: these are returned.

    Planted clips are of subjects of their own, with pictures of the first entry, and no ground truth.
    """
    rows = [
        (e.subject, VIDEOS[e.inducement - 1], e.onset, e.apex, e.offset, e.aus, _ROMAN[e.objective - 1], e.emotion)
        for e in entries
    ]
    planted = []
    for row in [*_BAD_ROWS, _again(rows[0])] if faults else ():
        rows.append(row.cells)
        where = f"{Path(SHEET).name}, row {len(rows) + 1}"
        planted += [replace(fault, where=where) for fault in row.faults]
        if row.frames:
            subject, video = str(row.cells[0]), str(row.cells[1]).lower()
            names = [f"{number}{'.png' if row.only_depth else '.jpg'}" for number in row.frames]
            folder = _video(subject, video) / ("depth" if row.only_depth else "color")
            plant(root / clip_folder(entries[0]), root / folder, names)
    text = [["" if cell is None else str(cell) for cell in row] for row in (COLUMNS, *rows)]
    (root / SHEET).parent.mkdir(parents=True, exist_ok=True)
    workbook.write(root / SHEET, {"label": text, "Sheet1": [], "Sheet3": []})
    return planted


def _video(subject: str, video: str) -> Path:
    """'part_A/data/part_A/spNO.1/a'; the folders of six subjects lack the dot."""
    dot = "" if subject in {f"spNO.{n}" for n in range(210, 216)} else "."
    return Path(_HOME) / subject.replace(".", dot) / video


@dataclass(frozen=True)
class _BadRow:
    """A row for a clip of its own. faults: without `where`. frames: numbers of those in the video's folder."""

    cells: tuple[Any, ...]
    frames: tuple[int, ...]
    faults: tuple[Fault, ...]
    only_depth: bool = False


def _bad(
    clip: tuple[str, str], course: tuple[int, int, int], frames: Sequence[int], *faults: tuple[Any, ...], **other: str
) -> _BadRow:
    """A row with the onset, apex and offset of `course`. other: cells 'emotion', 'objective'; 'depth' for no colour."""
    cells = (*clip, *course, "4", other.get("objective", "III"), other.get("emotion", "disgust"))
    name = f"{clip[0]}_{clip[1].lower()}_{course[0]}"
    told = tuple(Fault(kind, "", name, *rest) for kind, *rest in faults)
    return _BadRow(cells, tuple(frames), told, "depth" in other)


def _again(row: tuple[Any, ...]) -> _BadRow:
    """A row that was there before."""
    becomes = {"onset": row[2], "apex": row[3], "offset": row[4]}
    clip = f"{row[0]}_{row[1]}_{row[2]}"
    return _BadRow(row, (), (Fault("a row twice", "", clip, "error", "the first is read", becomes),))


# The first eight are rows of the real sheet, some with an earlier offset, so that there are fewer frames to write.
_BAD_ROWS = (
    _bad(("spNO.149", "d"), (112, 83, 140), numbers(112, 140),
         ("apex before the onset", "note", "apex corrected", {"apex": 123})),
    _bad(("spNO.214", "c"), (5, 5, 3460), numbers(1, 40),
         ("offset minutes later", "note", "offset corrected", {"offset": 34}),
         ("apex = onset", "warning", "kept", {"apex": 5})),
    _bad(("spNO.216", "d"), (3647, 2668, 2676), numbers(2640, 2680),
         ("onset after the apex", "note", "onset corrected", {"onset": 2647})),
    _bad(("spNO.216", "e"), (0, 0, 25), numbers(1, 25),
         ("onset 0", "note", "onset corrected", {"onset": 1}), ("apex 0", "note", "apex corrected", {"apex": 12})),
    _bad(("spNO.40", "e"), (1812, 1824, 0), numbers(1812, 1845),
         ("offset 0", "note", "offset corrected", {"offset": 1845}), ("more than 1 s", "note", "kept", {"apex": 1824})),
    _bad(("spNO.14", "J"), (1012, 1019, 1038), numbers(1012, 1038),
         ("a capital letter for the video", "note", "read as j", {"apex": 1019})),
    _bad(("spNO.168", "a"), (4, 9, 20), numbers(1, 20),
         ("Others for others", "note", "read as others", {"emotion": "others"}), emotion="Others"),
    _bad(("spNO.145", "g"), (150, 158, 170), numbers(150, 170),
         ("a hand before the face", "warning", "kept, with a note", {"onset": 150})),
    _bad(("spNO.217", "a"), (200, 200, 220), numbers(200, 220), ("apex = onset", "warning", "kept", {"apex": 200})),
    _bad(("spNO.217", "b"), (300, 305, 320), numbers(300, 320, [310]),
         ("one frame missing", "warning", "kept, listed as missing", {"missing": (310,)})),
    _bad(("spNO.217", "c"), (400, 405, 420), numbers(400, 420, range(408, 412)),
         ("four frames missing", "error", "left out")),
    _bad(("spNO.217", "d"), (500, 505, 520), (), ("no folder", "error", "left out")),
    _bad(("spNO.217", "e"), (600, 605, 620), numbers(600, 620), ("depth only", "error", "left out"), depth="only"),
    _bad(("spNO.217", "f"), (700, 705, 720), numbers(700, 720), ("no emotion", "error", "left out"), emotion=""),
    _bad(("spNO.217", "g"), (800, 805, 820), numbers(800, 820),
         ("an objective class that is none", "warning", "kept without it", {"objective": None}), objective="VIII"),
    _bad(("spNO.217", "h"), (900, 905, 995), numbers(900, 995),
         ("more than 3 s", "warning", "kept", {"offset": 995})),
)  # fmt: skip

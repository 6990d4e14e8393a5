"""A look-alike of the CASME II release: RAW_selected frames, the coding sheet of 2019.

As found in the real one: folders within folders of the same name; film names that are unique within a subject only,
some with a letter; unpadded numbers; subjects as text; columns without a title; empty pages behind the first.
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

FPS = (200.0,)
SHEET = "CASME2-coding-20190701.xlsx"
OLDER_SHEET = "CASME2-coding-20140508.xlsx"
FRAMES = "CASME2_RAW_selected/CASME2_RAW_selected"
JPEG_QUALITY = 95
_COLUMNS = (
    "Subject",
    "Filename",
    None,
    "OnsetFrame",
    "ApexFrame",
    "OffsetFrame",
    None,
    "Action Units",
    "Estimated Emotion",
    "Objective Classes",
)
_PAGE = "Sheet1"
# CASME II has no anger or contempt; what comes next keeps its class of cde-3.
_EMOTIONS = {
    "Happiness": "happiness",
    "Surprise": "surprise",
    "Disgust": "disgust",
    "Anger": "disgust",
    "Fear": "disgust",
    "Contempt": "repression",
    "Sadness": "repression",
    "Other": "others",
}
_FILMS = (2, 3, 4, 5, 8, 10, 13)  # by inducement 1..7; the planted clips are of other films


def adapt(entries: Sequence[Entry]) -> list[Entry]:
    """The clips as CASME II names, numbers and labels them: sub01_EP02_01f, frames from below 150."""
    subjects = list(dict.fromkeys(entry.subject for entry in entries))
    clips: Counter[tuple[str, int]] = Counter()
    found = []
    for entry in entries:
        subject = f"sub{subjects.index(entry.subject) + 1:02d}"
        clips[subject, entry.inducement] += 1
        film = f"EP{_FILMS[entry.inducement - 1]:02d}_{clips[subject, entry.inducement]:02d}"
        letter = "f" if entry.number % 3 == 1 else ""
        units = str(entry.aus).strip().translate(str.maketrans("", "", "ABCDE"))  # CASME II has sides, no intensities
        found.append(
            replace(
                entry,
                name=f"{subject}_{film}{letter}",
                subject=subject,
                emotion=_EMOTIONS[entry.emotion],
                aus=int(units) if units.isdigit() else units,
                spec=replace(entry.spec, first=1 + entry.spec.first % 149),
            )
        )
    return found


def clip_folder(entry: Entry) -> str:
    """Where a clip's frames lie, relative to the release."""
    return _folder(entry.name)


def write_frames(root: Path, entry: Entry, frames: np.ndarray) -> None:
    """Write uint8 [T, H, W] as JPEG files of three channels: img46.jpg, img47.jpg, ..."""
    import cv2

    folder = root / clip_folder(entry)
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=entry.onset):
        colour = cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)
        encoded = cv2.imencode(".jpg", colour, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        (folder / f"img{number}.jpg").write_bytes(encoded.tobytes())


def write_sheets(root: Path, entries: Sequence[Entry], faults: bool = False) -> list[Fault]:
    """Write the coding sheet, and with `faults` an older one, bad rows and bad folders: these are returned.

    Planted clips have folders of their own, with pictures of the first entry, and no ground truth.
    """
    rows = [_row(e.name, (e.onset, e.apex, e.offset), e.aus, e.emotion, e.objective) for e in entries]
    planted = []
    for bad in _bad_rows(entries[0]) if faults else ():
        rows.append(bad.cells)
        planted.append(replace(bad.fault, where=f"{SHEET}, row {1 + len(rows)}"))
        if bad.frames:
            _plant(root, entries[0], bad.fault.clip, bad.frames)
    _write_sheet(root / SHEET, [_COLUMNS, *rows])
    if faults:
        _write_sheet(root / OLDER_SHEET, [row[:-1] for row in (_COLUMNS, *rows)])
        planted.append(Fault("two editions of the sheet", SHEET, "", "note", "that of 2019 is read"))
        _plant(root, entries[0], "sub09_EP02_02f", numbers(26, 60))
        planted.append(
            Fault("a folder without labels in any edition", _folder("sub09_EP02_02f"), "", "note", "passed over")
        )
        _plant(root, entries[0], "sub09_EP09f", numbers(26, 60))
        planted.append(Fault("a folder without a row", _folder("sub09_EP09f"), "", "warning", "passed over"))
        (root / "CASME2_RAW_selected/sub01_EP02.avi").write_bytes(b"no video")
    return planted


def _folder(name: str) -> str:
    subject, _, film = name.partition("_")
    return f"{FRAMES}/{subject}/{film}"


def _row(name: str, course: tuple[Any, Any, Any], aus: int | str, emotion: str, objective: int) -> tuple[Any, ...]:
    subject, _, film = name.partition("_")
    return (subject.removeprefix("sub"), film, None, *course, None, aus, emotion, objective)


def _write_sheet(path: Path, rows: Sequence[Sequence[object]]) -> None:
    workbook.write(path, {_PAGE: rows, "Sheet2": (), "Sheet3": ()})


def _plant(root: Path, entry: Entry, name: str, frames: Sequence[int]) -> None:
    plant(root / clip_folder(entry), root / _folder(name), [f"img{number}.jpg" for number in frames])


def _bad_rows(first: Entry) -> list[BadRow]:
    """The real sheet's known errors, and what is wrong with copies."""
    older = "the older coding is read"
    again = Fault("a row twice", "", first.name, "error", "the first is read", {"onset": first.onset})
    return [
        _bad("no apex ('/')", "sub04_EP12_01f", (261, "/", 321), "note", "apex filled in", {"apex": 279}),
        _bad("apex = onset", "sub05_EP09_05f", (69, 69, 120), "note", "apex corrected", {"apex": 81}),
        _bad("apex = offset", "sub12_EP09_06", (60, 111, 111), "note", "apex corrected", {"apex": 89}),
        _bad(
            "frames of another range",
            "sub07_EP06_01",
            (15, 49, 68),
            "note",
            older,
            {"onset": 56, "apex": 73, "offset": 91},
            numbers(56, 91),
        ),
        _bad(
            "frames of another range",
            "sub12_EP09_02",
            (16, 59, 101),
            "note",
            older,
            {"onset": 161, "apex": 183, "offset": 206},
            numbers(161, 206),
        ),
        _bad("fewer frames than rows", "sub16_EP01_08", (73, 94, 110), "note", older, {"offset": 96}, numbers(73, 96)),
        _bad(
            "an emotion that changed",
            "sub24_EP07_01",
            (20, 40, 70),
            "note",
            "kept, with a note",
            {"emotion": "surprise"},
            emotion="surprise",
        ),
        _bad("frames of an unknown range", "sub06_EP15_02", (20, 40, 70), "error", "left out", None, numbers(220, 270)),
        _bad("no emotion", "sub08_EP12_05", (20, 40, 70), "error", "left out", emotion=""),
        BadRow(again, _row(first.name, (first.onset, first.apex, first.offset), 12, "happiness", 1)),
    ]


def _bad(
    kind: str,
    clip: str,
    course: tuple[Any, Any, Any],
    severity: Severity,
    handled: str,
    becomes: Mapping[str, Any] | None = None,
    frames: tuple[int, ...] | None = None,
    emotion: str = "disgust",
) -> BadRow:
    """A row with the onset, apex and offset of `course`, and by default a folder with all of its frames."""
    cells = _row(clip, course, "4+7", emotion, 3)
    there = numbers(course[0], course[2]) if frames is None else frames
    return BadRow(Fault(kind, "", clip, severity, handled, becomes), cells, there)

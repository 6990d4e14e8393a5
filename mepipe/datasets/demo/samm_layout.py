"""A look-alike of the SAMM release: folder tree, frame file names, annotation workbook.

As found in the real one: subjects and frame numbers padded to a width that is constant within a recording only,
13 rows of free text above the sheet's header, subjects as text, durations as formulas with cached values, action
units that are numbers in some rows and text in others.
"""

from __future__ import annotations

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
SHEET = "SAMM_Micro_FACS_Codes_v2.xlsx"
COLUMNS = (
    "Subject",
    "Filename",
    "Inducement Code",
    "Onset Frame",
    "Apex Frame",
    "Offset Frame",
    "Duration",
    "Micro",
    "Action Units",
    "Estimated Emotion",
    "Objective Classes",
    "Notes",
)
_PREAMBLE = (
    "DEMO - synthetic look-alike of the SAMM annotation sheet, written by `mepipe demo`",
    "Nobody in it was recorded, and no label in it was given by a coder.",
    None,
    "The real sheet has its title, citation and coding notes in these rows.",
    None,
    "Key:",
    "/ = or",
    "? = unclear offset",
    "A2 = asymmetric AU 2",
    "L, R = left, right side only; A..E = intensity",
)
_PAGE = "MICRO_ONLY"
_UNLISTED = "031_3_9"
_HEADER_ROW = 14  # as a spreadsheet counts
JPEG_QUALITY = 95
_JPEG_SUFFIX = ".jpg"


def adapt(entries: Sequence[Entry]) -> list[Entry]:
    """The clips as this database names, numbers and labels them: they were planned so."""
    return list(entries)


def clip_folder(entry: Entry) -> str:
    """Where a clip's frames lie, relative to the release: 'SAMM/006/006_1_2'."""
    return f"SAMM/{entry.subject}/{entry.name}"


def write_frames(root: Path, entry: Entry, frames: np.ndarray) -> None:
    """Write uint8 [T, H, W] as single-channel JPEG files named by subject and frame number."""
    import cv2

    folder = root / clip_folder(entry)
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=entry.onset):
        encoded = cv2.imencode(_JPEG_SUFFIX, frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        (folder / f"{entry.subject}_{number:0{entry.digits}d}{_JPEG_SUFFIX}").write_bytes(encoded.tobytes())


def write_sheets(root: Path, entries: Sequence[Entry], faults: bool = False) -> list[Fault]:
    """Write the annotation workbook, and with `faults` bad rows and folders: these are returned.

    Planted clips have folders of their own, with pictures of the first entry, and no ground truth.
    """
    rows: list[Sequence[object]] = [
        (e.subject, e.name, e.inducement, e.onset, e.apex, e.offset, e.aus, e.emotion, e.objective, e.notes)
        for e in entries
    ]
    planted = []
    for bad in _bad_rows(rows[0]) if faults else ():
        rows.append(bad.cells)
        planted.append(replace(bad.fault, where=f"{SHEET}, row {_HEADER_ROW + len(rows)}"))
        if bad.frames:
            _plant(root, entries[0], bad.fault.clip, bad.frames)
    if faults:
        _plant(root, entries[0], _UNLISTED, numbers(2000, 2040))
        where = f"SAMM/{_UNLISTED[:3]}/{_UNLISTED}"
        planted.append(Fault("a folder without a row", where, "", "warning", "passed over"))
    cells: list[Sequence[object]] = [(text,) for text in _PREAMBLE]
    cells += [()] * (_HEADER_ROW - 1 - len(_PREAMBLE))
    cells += [COLUMNS, *(_cells(row, line) for line, row in enumerate(rows, start=_HEADER_ROW + 1))]
    filters = {_PAGE: f"A{_HEADER_ROW}:L{_HEADER_ROW + len(rows)}"}
    workbook.write(root / SHEET, {_PAGE: cells}, filters)
    return planted


def _cells(row: Sequence[Any], line: int) -> tuple[object, ...]:
    onset, offset = row[3], row[5]
    frames = offset - onset + 1 if isinstance(onset, int) else "#VALUE!"
    duration = workbook.Formula(f"=SUM(F{line}-D{line})+1", frames)
    return (*row[:6], duration, "Micro - 1/2", *row[6:])


def _plant(root: Path, entry: Entry, name: str, frames: Sequence[int]) -> None:
    names = [f"{name[:3]}_{number:04d}{_JPEG_SUFFIX}" for number in frames]
    plant(root / clip_folder(entry), root / f"SAMM/{name[:3]}/{name}", names)


def _bad_rows(first: Sequence[Any]) -> list[BadRow]:
    """The real sheet's three bad apexes, and what is wrong with copies and other editions; first: an entry's row."""
    again = Fault("a row twice", "", first[1], "error", "the first is read", {"onset": first[3], "apex": first[4]})
    return [
        _bad("apex after the offset", "028_4_1", (1071, 1143, 1134), "note", "apex corrected", {"apex": 1105}),
        _bad("apex mistyped", "032_3_1", (4896, 1930, 4970), "note", "apex corrected", {"apex": 4930}),
        _bad("apex next to the onset", "032_3_2", (5126, 5127, 5190), "note", "kept, with a note", {"apex": 5127}),
        _bad(
            "words among the action units",
            "030_5_1",
            (200, 230, 260),
            "note",
            "passed over",
            {"aus": "R14+17"},
            "R14+17+soft focus",
        ),
        _bad(
            "action units that cannot be read",
            "030_5_2",
            (300, 330, 360),
            "warning",
            "kept without them",
            {"aus": ""},
            "4;7",
        ),
        _bad("an unknown emotion", "030_5_3", (400, 430, 460), "warning", "kept", {"emotion": "Others"}, 4, "Others"),
        _bad("apex outside", "030_5_4", (500, 590, 560), "warning", "apex dropped", {"apex": None}),
        _bad("no apex", "030_5_5", (600, "/", 660), "warning", "kept without apex", {"apex": None}),
        _bad("apex = onset", "030_5_6", (700, 700, 760), "warning", "kept", {"apex": 700}),
        _bad("onset after offset", "030_5_7", (860, 830, 800), "error", "left out", frames=numbers(800, 860)),
        _bad("an onset that is no number", "030_5_8", ("9OO", 930, 960), "error", "left out", frames=numbers(900, 960)),
        _bad("no folder", "030_5_9", (1000, 1030, 1060), "error", "left out", frames=()),
        _bad(
            "ten frames missing",
            "030_5_10",
            (1100, 1130, 1160),
            "error",
            "left out",
            frames=numbers(1100, 1160, range(1120, 1130)),
        ),
        _bad(
            "one frame missing",
            "030_5_11",
            (1200, 1230, 1260),
            "warning",
            "kept, listed as missing",
            {"missing": (1240,)},
            frames=numbers(1200, 1260, [1240]),
        ),
        BadRow(again, tuple(first)),
    ]


def _bad(
    kind: str,
    clip: str,
    course: tuple[Any, Any, Any],
    severity: Severity,
    handled: str,
    becomes: Mapping[str, Any] | None = None,
    aus: int | str = "4+7",
    emotion: str = "Anger",
    frames: tuple[int, ...] | None = None,
) -> BadRow:
    """A row with the onset, apex and offset of `course`, and by default a folder with all of its frames."""
    cells = (clip[:3], clip, int(clip.split("_")[1]), *course, aus, emotion, 7, None)
    there = numbers(course[0], course[2]) if frames is None else frames
    return BadRow(Fault(kind, "", clip, severity, handled, becomes), cells, there)

"""SAMM: 159 micro-expressions of 29 subjects, 200 fps, gray 2040x1088 (Davison et al. 2018).

Layout, types and errors of the release are in docs and were read from the published sheets: frames at
SAMM/<subject>/<Filename>/<subject>_<frame>.jpg with a padding that differs between recordings, annotation in
SAMM_Micro_FACS_Codes_v2.xlsx with free text above its header.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mepipe.datasets.findings import Release
from mepipe.datasets.frames import numbered_frames
from mepipe.datasets.manifest import Sample
from mepipe.errors import MepipeError

LICENCE = (
    "SAMM is released for research only, under an agreement signed with Manchester Metropolitan University: "
    "https://helward.mmu.ac.uk/STAFF/M.Yap/dataset.php. Frames may not be passed on."
)
CITATION = (
    "A. K. Davison, C. Lansley, N. Costen, K. Tan, M. H. Yap: SAMM: A Spontaneous Micro-Facial Movement Dataset. "
    "IEEE Transactions on Affective Computing 9(1), 2018, 116-129."
)
FPS = 200.0
EMOTIONS = ("Anger", "Contempt", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Other")

_SHEETS = "*SAMM_Micro_FACS_Codes_v2*.xlsx"
_NEEDED = ("Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame", "Action Units", "Estimated Emotion")
_KNOWN = (*_NEEDED, "Inducement Code", "Duration", "Micro", "Objective Classes", "Notes")
_HEADER_WITHIN = 30
_NESTINGS = ("SAMM/SAMM", "SAMM", "SAMM_CROP/SAMM_CROP", "SAMM_CROP", ".")


@dataclass(frozen=True)
class Correction:
    """A known wrong apex of the official sheet, applied only where the sheet still has the wrong value."""

    wrong: int
    right: int
    why: str


APEX_CORRECTIONS = {
    "028_4_1": Correction(1143, 1105, "apex 1143 of the sheet lies after its offset 1134; 1105 as in tvaranka/meb"),
    "032_3_1": Correction(1930, 4930, "apex 1930 of the sheet is a slip for 4930 (onset 4896, offset 4970)"),
}


def read(root: Path) -> Release:
    """The samples of a SAMM release, in the order of its sheet, and what is wrong with it.

    root: the folder that holds SAMM/ (or SAMM_CROP/), or that folder itself; clips are relative to it.
    Raises MepipeError when there is no sheet, no header in it or no frames: a row that is bad is left out instead,
    with an 'error' finding that names file and row.
    """
    if not root.is_dir():
        msg = f"No folder at {root}. Give the folder that holds SAMM/ and its workbook as --root."
        raise MepipeError(msg)
    release = Release()
    sheet = _find_sheet(root, release)
    frames = _find_frames(root, release)
    columns, rows = _table(sheet, release)
    if not columns:
        return release
    lines: dict[str, int] = {}
    for line, cells in rows:
        values = {name: cells[index] for name, index in columns.items() if index < len(cells)}
        where = f"{sheet.name}, row {line}"
        clip = _text(values.get("Filename"))
        if clip in lines:
            release.report("error", where, f"{clip} stands in row {lines[clip]} too. Keep one of the rows.")
            continue
        lines[clip] = line
        try:
            release.samples.append(_sample(values, where, root, frames, release))
        except MepipeError as error:
            release.report("error", where, str(error))
    _report_unlisted(frames, set(lines), sheet, release)
    return release


def _find_sheet(root: Path, release: Release) -> Path:
    places = [root / nesting for nesting in (".", "SAMM", "SAMM/SAMM", "SAMM_CROP", "SAMM_CROP/SAMM_CROP")]
    found = [path for place in (*places, root.absolute().parent) for path in sorted(place.glob(_SHEETS))]
    found = [path for path in found if not path.name.startswith(("~$", "."))]  # what spreadsheets leave when open
    if not found:
        msg = (
            f"No annotation sheet {_SHEETS} in {root}, in SAMM/ or SAMM_CROP/ under it, or beside it.\n"
            "Put SAMM_Micro_FACS_Codes_v2.xlsx there, or give the release's folder as --root."
        )
        raise MepipeError(msg)
    if len({path.resolve() for path in found}) > 1:
        others = ", ".join(str(path) for path in found[1:])
        release.report("note", str(found[0]), f"this sheet is read; there are others: {others}.")
    return found[0]


def _find_frames(root: Path, release: Release) -> Path:
    """The folder of the subjects' folders: 006, 007, ..."""
    found = []
    for nesting in _NESTINGS:
        place = root / nesting
        if place.is_dir() and any(re.fullmatch(r"\d{3}", p.name) and p.is_dir() for p in place.iterdir()):
            found.append(place)
    if not found:
        msg = (
            f"No subjects' folders (006, 007, ...) in {root}, nor in SAMM/ or SAMM_CROP/ under it.\n"
            "Give the folder that holds SAMM/ as --root."
        )
        raise MepipeError(msg)
    if len(found) > 1:
        others = ", ".join(str(path) for path in found[1:])
        release.report("note", str(found[0]), f"frames are taken from here, not from {others}.")
    return found[0]


def _table(sheet: Path, release: Release) -> tuple[dict[str, int], Iterator[tuple[int, tuple[Any, ...]]]]:
    """Column indices by title, and the rows below the header with their numbers; no columns when one is missing."""
    lines = _cells(sheet)
    header = next((k for k, row in enumerate(lines[:_HEADER_WITHIN]) if row and _text(row[0]) == "Subject"), None)
    if header is None:
        msg = (
            f"{sheet}: no header: none of the first {_HEADER_WITHIN} rows begins with 'Subject'.\n"
            "Use the sheet as it was released, or restore its header row."
        )
        raise MepipeError(msg)
    titles = [_text(cell) for cell in lines[header]]
    where = f"{sheet.name}, row {header + 1}"
    unknown = [title for title in titles if title and title not in _KNOWN]
    missing = [title for title in _NEEDED if title not in titles]
    for title in missing:
        near = get_close_matches(title, unknown, 1)
        hint = f" Is it the column {near[0]!r}?" if near else f" Columns: {', '.join(filter(None, titles))}."
        release.report("error", where, f"no column {title!r}, so no row can be read.{hint} Rename it to {title!r}.")
    for title in unknown:
        release.report("warning", where, f"unknown column {title!r}, passed over.")
    columns = {} if missing else {title: titles.index(title) for title in _NEEDED}
    below = enumerate(lines[header + 1 :], start=header + 2)
    return columns, ((k, row) for k, row in below if any(_text(cell) for cell in row))


def _cells(sheet: Path) -> list[tuple[Any, ...]]:
    import openpyxl

    try:
        book = openpyxl.load_workbook(sheet, read_only=True, data_only=True)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        msg = f"{sheet}: cannot be read as an Excel workbook ({error}). Copy it again from the release."
        raise MepipeError(msg) from None
    try:
        page = book["MICRO_ONLY"] if "MICRO_ONLY" in book.sheetnames else book.worksheets[0]
        return [tuple(row) for row in page.iter_rows(values_only=True)]
    finally:
        book.close()


def _text(cell: object) -> str:
    """A cell as text, without the stray spaces around and doubled within."""
    return " ".join(str(cell).split()) if cell is not None else ""


def _number(values: dict[str, Any], title: str) -> int:
    text = _text(values.get(title)).removesuffix(".0")
    if not re.fullmatch(r"[0-9]+", text):
        msg = f"{title} is {values.get(title)!r}, not a frame number. Correct this row."
        raise MepipeError(msg)
    return int(text)


def _sample(values: dict[str, Any], where: str, root: Path, frames: Path, release: Release) -> Sample:
    """The sample of one row; MepipeError when it cannot become one."""
    clip = _text(values.get("Filename"))
    subject = _text(values.get("Subject")).removesuffix(".0").zfill(3)  # a number after a detour through CSV
    onset, apex, offset = (_number(values, title) for title in ("Onset Frame", "Apex Frame", "Offset Frame"))
    correction, note = APEX_CORRECTIONS.get(clip), ""
    if correction is not None and apex == correction.wrong:
        apex, note = correction.right, correction.why
        release.report("note", where, f"{clip}: {note}.")
    emotion = _text(values.get("Estimated Emotion"))
    if emotion.lower() not in (known.lower() for known in EMOTIONS):
        known = ", ".join(EMOTIONS)
        release.report("warning", where, f"{clip}: emotion {emotion!r} is none of {known}: no scheme will use it.")
    try:
        sample = Sample(
            id=clip,
            subject=subject,
            clip=f"{frames.relative_to(root).as_posix()}/{subject}/{clip}",
            onset=onset,
            apex=apex,
            offset=offset,
            fps=FPS,
            emotion=emotion,
            aus=_text(values.get("Action Units")),
            note=note,
        )
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        msg = f"{clip or 'a row without Filename'}: {problem}. Correct this row."
        raise MepipeError(msg) from None
    folder = root / sample.clip
    there = numbered_frames(folder)
    missing = [number for number in range(onset, offset + 1) if number not in there]
    if missing:
        msg = (
            f"{clip}: {len(missing)} of frames {onset}..{offset} are not in {folder} "
            f"(first missing: {missing[0]}; there: {min(there)}..{max(there)}). "
            "Copy the folder again, or correct the row."
        )
        raise MepipeError(msg)
    return sample


def _report_unlisted(frames: Path, listed: set[str], sheet: Path, release: Release) -> None:
    for folder in sorted(frames.glob("[0-9][0-9][0-9]/*_*_*")):
        if folder.is_dir() and folder.name not in listed:
            release.report("warning", str(folder), f"has no row in {sheet.name} and is passed over.")

"""A look-alike of the SAMM release: folder tree, frame file names, annotation workbook.

As found in the real one: subjects and frame numbers padded to a width that is constant within a recording only,
13 rows of free text above the sheet's header, subjects as text, durations as formulas with cached values, action
units that are numbers in some rows and text in others.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from mepipe.datasets.demo.plan import Entry

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
_HEADER_ROW = 14  # as a spreadsheet counts
JPEG_QUALITY = 95
_JPEG_SUFFIX = ".jpg"


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


def write_sheet(root: Path, entries: Sequence[Entry]) -> None:
    """Write the annotation workbook; the same entries give the same bytes."""
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "MICRO_ONLY"
    for row, text in enumerate(_PREAMBLE, start=1):
        sheet.cell(row, 1, text)
    for column, title in enumerate(COLUMNS, start=1):
        sheet.cell(_HEADER_ROW, column, title)
    for row, entry in enumerate(entries, start=_HEADER_ROW + 1):
        cells = (
            entry.subject,
            entry.name,
            entry.inducement,
            entry.onset,
            entry.apex,
            entry.offset,
            f"=SUM(F{row}-D{row})+1",
            "Micro - 1/2",
            entry.aus,
            entry.emotion,
            entry.objective,
            entry.notes,
        )
        for column, value in enumerate(cells, start=1):
            sheet.cell(row, column, value)
    sheet.auto_filter.ref = f"A{_HEADER_ROW}:L{_HEADER_ROW + len(entries)}"
    written = io.BytesIO()
    book.save(written)
    durations = {_HEADER_ROW + 1 + k: entry.spec.frames for k, entry in enumerate(entries)}
    (root / SHEET).write_bytes(_finish(written.getvalue(), durations))


def _finish(workbook: bytes, durations: dict[int, int]) -> bytes:
    """Two things that openpyxl cannot do: cached values beside formulas, and the same bytes at any time of day."""
    epoch = datetime(1980, 1, 1)

    def cached(match: re.Match[str]) -> str:
        return f"{match[1]}<v>{durations[int(match[2])]}</v>"

    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "xl/worksheets/sheet1.xml":
                formula = r'(<c r="G(\d+)"[^>]*><f>[^<]*</f>)(?:<v\s*/>|<v></v>)'
                content = re.sub(formula, cached, content.decode()).encode()
            if name == "docProps/core.xml":
                content = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", f"{epoch:%Y-%m-%dT%H:%M:%SZ}", content.decode()).encode()
            new.writestr(zipfile.ZipInfo(name, epoch.timetuple()[:6]), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()

"""The long form of SMIC, SMIC-E: clips with the time around the expression, and a sheet that says where this is.

Of the sheet, SMIC-HS-E_annotation.xlsx, there are two editions: the first with 162 rows, each one expression; the
second with 157, of which some have a second and a third. Its folders are those of the second edition. A sample has the
name that its clip has in the plain release (MERGED), or else, for the second expression of s20_ne_06, s20_ne_06_2.
Offsets are formulas in the sheet: their stored values are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mepipe.datasets import checks, sheets, smic
from mepipe.datasets.findings import Release
from mepipe.datasets.folders import Folders, shown
from mepipe.datasets.frames import numbered_frames
from mepipe.errors import MepipeError

# Clips of the plain release that are the 2nd or 3rd expression of another long clip.
MERGED = {
    "s3_ne_03": ("s3_ne_02", 2),
    "s4_ne_05": ("s4_ne_04", 2),
    "s4_ne_06": ("s4_ne_04", 3),
    "s9_sur_02": ("s9_sur_01", 2),
}
# Clips whose third expression in the second edition is what a broken formula gave (lengths such as -118996).
BROKEN_THIRD = frozenset({"s18_ne_01", "s18_sur_03", "s20_ne_06", "s20_ne_09", "s20_sur_02"})

_NEEDED = ("Subject", "Filename", "OnsetF", "OffsetF", "Emotion")
_MORE = {2: ("Onset2F", "Offset2F"), 3: ("Onset3F", "Offset3F")}
_TOTALS = ("FirstF", "LastF", "TotalMF1", "TotalMF2", "TotalMF3", "TotalVL")
_KNOWN = (*_NEEDED, *_MORE[2], *_MORE[3], *_TOTALS, "ApexF")


def read(place: Path, subjects: Sequence[str], folders: Folders, camera: str, root: Path, release: Release) -> None:
    """Add the samples of long clips to `release`, in the order of the sheet.

    place: the folder of the `subjects`' folders. Raises MepipeError when there is no sheet that can be read.
    """
    inside = place.relative_to(root)
    name = f"SMIC-{camera}-E_annotation"
    # The second edition, whose name is the plain one, first: the other lists clips whose folders were never released.
    patterns = [f"{name}.xls*", f"{name}.csv", f"*{name}*.xls*", f"*{name}*.csv"]
    places = [path.as_posix() for path in (inside, *inside.parents)]
    sheet = sheets.find(root, patterns, [*places, ".."], release)
    table = sheets.read(sheet, _NEEDED, _KNOWN, release, page=camera)
    clips = _clips(place, subjects, folders, root, release)
    listed = {row.text("Filename").lower() for row in table.rows}
    used: set[Path] = set()
    for row in table.rows:
        if any(row.text(title) for title in ("Filename", "OnsetF", "OffsetF", "Emotion")):
            with checks.reported(release, row.where):
                _read_row(row, clips, listed, used, camera, root, release)
        else:
            release.report("note", row.where, "names no clip (is it text below the table?) and is passed over.")
    if table.rows:
        checks.unlisted(release, root, clips.values(), used, sheet.name)


def _clips(place: Path, subjects: Sequence[str], folders: Folders, root: Path, release: Release) -> dict[str, Path]:
    """Clip -> its folder, whatever the padding of subjects and clips."""
    clips: dict[str, Path] = {}
    for subject in subjects:
        for name in folders.names(place / subject):
            folder = place / subject / name
            try:
                clip = smic.clip_name(name, subject)
            except MepipeError as error:
                release.report("warning", shown(folder, root), f"is passed over: {error}")
                continue
            first = clips.setdefault(clip, folder)
            if first != folder:
                release.report("warning", shown(folder, root), f"is passed over for {shown(first, root)}. Keep one.")
    return clips


def _read_row(
    row: sheets.Row,
    clips: dict[str, Path],
    listed: set[str],
    used: set[Path],
    camera: str,
    root: Path,
    release: Release,
) -> None:
    """Add the samples of one row, up to three. MepipeError when its first cannot be one."""
    clip = smic.clip_name(row.text("Filename"), row.text("Subject"))
    folder = clips.get(clip)
    notes: list[str] = []
    if folder is None and clip in MERGED:
        home = MERGED[clip][0]
        folder = clips.get(home)
        notes.append(f"its frames lie in the folder of {home}, as the long form has it")
        release.report("note", row.where, f"{clip}: {notes[0]}.")
    if folder is None:
        msg = (
            f"{clip}: there is no folder of it. Copy it from the release; if it never had one, leave the row as it is."
        )
        raise MepipeError(msg)
    used.add(folder)
    if not row.text("OffsetF"):
        msg = (
            f"{clip}: OffsetF is empty. In the released sheet it is a formula with its value stored: "
            "copy the sheet again, or open it in a spreadsheet program and save it."
        )
        raise MepipeError(msg)
    notes.append(smic.compared(release, row.where, clip, row.text("Emotion"), "the sheet"))
    first = row.number("OnsetF"), row.number("OffsetF")
    for name, onset, offset in [(clip, *first), *_more(row, clip, folder, first, listed, release)]:
        checks.accept(
            release,
            row.where,
            root,
            id=name,
            subject=clip.split("_")[0],
            clip=shown(folder, root),
            onset=onset,
            offset=offset,
            fps=smic.FPS[camera],
            emotion=smic.emotion_of(clip),
            note="; ".join(filter(None, notes)),
        )


def _more(
    row: sheets.Row, clip: str, folder: Path, first: tuple[int, int], listed: set[str], release: Release
) -> list[tuple[str, int, int]]:
    """Name, onset and offset of the second and third expression of a row."""
    found: list[tuple[str, int, int]] = []
    for order, titles in _MORE.items():
        if all(row.text(title) in ("", "0") for title in titles):
            continue
        name = next((n for n, place in MERGED.items() if place == (clip, order)), f"{clip}_{order}")
        try:
            onset, offset = (row.number(title) for title in titles)
            frames = numbered_frames(folder)
            if not min(frames) <= onset < offset <= max(frames):
                msg = f"{onset}..{offset} is no range of frames within {min(frames)}..{max(frames)}. Correct this row."
                raise MepipeError(msg)
        except MepipeError as error:
            known = order == 3 and clip in BROKEN_THIRD
            told = f"{clip}: expression 3 comes from a broken formula" if known else f"{clip}: expression {order}"
            release.report("note" if known else "error", row.where, f"{told} and is passed over: {error}")
            continue
        if name in listed:
            release.report("note", row.where, f"{clip}: expression {order} has a row of its own, {name}.")
        elif (onset, offset) in (first, *((a, b) for _, a, b in found)):
            release.report("note", row.where, f"{clip}: expression {order} repeats another and is passed over.")
        else:
            found.append((name, onset, offset))
    return found

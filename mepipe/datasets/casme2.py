"""CASME II: 255 micro-expressions of 26 subjects, 200 fps, colour 640x480 (Yan et al. 2014).

    CASME2_RAW_selected/sub01/EP02_01f/img46.jpg     the expressions' frames
    CASME2-RAW/sub01/EP02_01f/img1.jpg               with the time around them
    Cropped/sub01/EP02_01f/reg_img46.jpg             faces cut out and registered
    CASME2-coding-20140508.xlsx, CASME2-coding-20190701.xlsx, CASME2_label_Ver_2.xls, CASME2-ObjectiveClasses.xlsx

The first form that is there is read; give the folder of another as root to read that. Numbers are not padded, and are
the sheet's in every form. Of several sheets the one of 2019 is read: it differs from that of 2014 in the action units
of 57 rows and in three emotions (EMOTION_CHANGED), and has the objective classes; without them, they are taken from
CASME2-ObjectiveClasses.xlsx. A file name is unique within a subject only, so a clip is called sub01_EP02_01f.

Where the frames disagree with the sheet, the frames are right, for the three clips where an older edition of the sheet
says what they show (OLDER_CODING); any other disagreement is reported and the row left out.
"""

from __future__ import annotations

import re
from pathlib import Path

from mepipe.datasets import sheets
from mepipe.datasets.checks import Correction, accept, claim, reported, unlisted
from mepipe.datasets.findings import Release
from mepipe.datasets.folders import Folders, home, shown
from mepipe.datasets.frames import numbered_frames
from mepipe.errors import MepipeError

LICENCE = (
    "CASME II is released for research only, under an agreement signed with the Institute of Psychology, Chinese "
    "Academy of Sciences: http://casme.psych.ac.cn/casme/e2. Frames may not be passed on."
)
CITATION = (
    "W.-J. Yan, X. Li, S.-J. Wang, G. Zhao, Y.-J. Liu, Y.-H. Chen, X. Fu: CASME II: An Improved Spontaneous "
    "Micro-Expression Database and the Baseline Evaluation. PLoS ONE 9(1), 2014, e86041."
)
FPS = 200.0
EMOTIONS = ("disgust", "fear", "happiness", "others", "repression", "sadness", "surprise")

# Apexes that cannot be right, with the estimate from the frames in tvaranka/meb.
_APEXES: tuple[tuple[str, int | str | None, int, str], ...] = (
    ("sub04_EP12_01f", None, 279, "the sheet has no apex"),
    ("sub05_EP09_05f", "onset", 81, "the sheet's apex is the onset"),
    ("sub05_EP16_04f", "offset", 166, "the sheet's apex is the offset"),
    ("sub12_EP09_06", "offset", 89, "the sheet's apex is the offset"),
    ("sub20_EP16_01", "offset", 91, "the sheet's apex is the offset"),
    ("sub25_EP18_04f", "offset", 98, "the sheet's apex is the offset"),
)
# Surprise in the sheet of 2019, sadness in that of 2014, on which MEGC 2019 and most papers rest.
EMOTION_CHANGED = ("sub24_EP07_01", "sub24_EP07_04f", "sub24_EP10_03")
CORRECTIONS = tuple(
    Correction(clip, "apex", wrong, right, f"{what}; {right} as in tvaranka/meb")
    for clip, wrong, right, what in _APEXES
)
# Sheet -> onset, apex, offset of an older coding of 257 rows, which fits the frames of some copies.
OLDER_CODING: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "sub07_EP06_01": ((15, 49, 68), (56, 73, 91)),
    "sub12_EP09_02": ((16, 59, 101), (161, 183, 206)),
    "sub16_EP01_08": ((73, 94, 110), (73, 94, 96)),
}
# Folders that only that older coding lists, without emotion or action units.
WITHOUT_LABELS = frozenset({"sub09_EP02_02f", "sub24_EP02_07"})

_SHEETS = ("CASME2-coding-2019*", "CASME2-coding*", "CASME2_label*", "CASME*2*coding*", "CASME*2*label*")
_CLASSES = ("CASME2-ObjectiveClasses*",)
_PLACES = (".", "CASME2", "CASMEII", "*", "..")
_NEEDED = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion")
_SUBJECT = r"sub[0-9]{1,2}"
_PREFERRED = (
    r"raw[_ -]?selected",
    r"^(?!.*(?:crop|regist|compress|tim)).*raw",
    r"^(?!.*(?:crop|compress|tim))",
    "crop",
)


def read(root: Path) -> Release:
    """The samples of a CASME II release, in the order of its sheet, and what is wrong with it.

    root: the folder that holds CASME2_RAW_selected/, CASME2-RAW/ or Cropped/, one of these, or one above; clips are
    relative to it. Raises MepipeError when there is no sheet, no header in it or no frames.
    """
    release = Release()
    frames = home(root, _SUBJECT, _PREFERRED, "sub01, sub02, ...", release)
    sheet = sheets.find(root, _SHEETS, _PLACES, release)
    table = sheets.read(sheet, _NEEDED, ("Objective Classes",), release)
    classes = _objective_classes(root, release) if table.rows and not table.rows[0].text("Objective Classes") else {}
    folders = Folders()
    used: dict[Path, str] = {}
    for row in table.rows:
        with reported(release, row.where):
            subject, name = sheets.subject_of(row, "sub", 2), row.filled("Filename")
            clip = f"{subject}_{name}"
            folder = folders.find(frames, subject, name)
            claim(used, folder, clip)
            if clip in WITHOUT_LABELS and not row.text("Estimated Emotion"):
                release.report("note", row.where, f"{clip} has no labels in any edition, and is passed over.")
                continue
            course = (row.number("OnsetFrame"), row.whole_or_none("ApexFrame"), row.number("OffsetFrame"))
            (onset, apex, offset), note = _course(release, row.where, clip, folder, course)
            emotion = row.text("Estimated Emotion")
            if clip in EMOTION_CHANGED and emotion.lower() == "surprise":
                note = "surprise in the sheet of 2019, sadness in that of 2014"
                release.report("note", row.where, f"{clip}: {note}, on which MEGC 2019 rests.")
            accept(
                release,
                row.where,
                root,
                emotions=EMOTIONS,
                corrections=CORRECTIONS,
                id=clip,
                subject=subject,
                clip=folder.relative_to(root).as_posix(),
                onset=onset,
                apex=apex,
                offset=offset,
                fps=FPS,
                emotion=emotion,
                aus=row.text("Action Units"),
                objective=row.whole_or_none("Objective Classes") or classes.get(clip),
                note=note,
            )
    _report_unlisted(release, root, frames, folders, used, sheet)
    return release


def _course(
    release: Release, where: str, clip: str, folder: Path, course: tuple[int, int | None, int]
) -> tuple[tuple[int, int | None, int], str]:
    """Onset, apex and offset that the frames in the folder allow, and what is to be noted about them."""
    sheet, older = OLDER_CODING.get(clip, ((0, 0, 0), (0, 0, 0)))
    if course != sheet:
        return course, ""
    there = numbered_frames(folder)
    fits = [all(number in there for number in numbers) for numbers in (sheet, older)]
    named = "{}-{}-{}".format(*sheet), "{}-{}-{}".format(*older)
    if all(fits) and max(there) > max(sheet[2], older[2]):
        told = f"{clip}: an older edition has {named[1]} for {named[0]}, and the frames of both are there"
        release.report("warning", where, f"{told}. The sheet's are kept; look at the clip.")
    if fits[0] or not fits[1]:
        return course, ""
    note = f"{named[0]} of the sheet are not among the frames; {named[1]} as in an older edition"
    release.report("note", where, f"{clip}: {note}.")
    return older, note


def _objective_classes(root: Path, release: Release) -> dict[str, int | None]:
    """The objective class of each clip, from the sheet that has only these; none where it is not there."""
    try:
        sheet = sheets.find(root, _CLASSES, _PLACES, release)
    except MepipeError:
        return {}
    classes: dict[str, int | None] = {}
    with reported(release, shown(sheet, root)):
        for row in sheets.read(sheet, ("Subject", "Filename", "Objective Class"), (), release).rows:
            with reported(release, row.where):
                classes[f"{sheets.subject_of(row, 'sub', 2)}_{row.filled('Filename')}"] = row.whole_or_none(
                    "Objective Class"
                )
    return classes


def _report_unlisted(
    release: Release, root: Path, frames: Path, folders: Folders, used: dict[Path, str], sheet: Path
) -> None:
    subjects = [s for s in folders.names(frames) if re.fullmatch(_SUBJECT, s, re.IGNORECASE)]
    clips = [frames / s / c for s in subjects for c in folders.names(frames / s)]
    for folder in clips:
        if f"{folder.parent.name}_{folder.name}" in WITHOUT_LABELS and folder not in used:
            release.report("note", shown(folder, root), "has no row: no edition of the sheet has labels for it.")
            used[folder] = ""
    unlisted(release, root, clips, used, sheet.name)

"""SAMM: 159 micro-expressions of 29 subjects, 200 fps, gray 2040x1088 (Davison et al. 2018).

Frames at SAMM/<subject>/<Filename>/<subject>_<frame>.jpg, with a padding that differs between recordings; SAMM_CROP/
has the same names. Annotation in SAMM_Micro_FACS_Codes_v2.xlsx, with free text above its header. Layout, types and
errors were read from the published sheets; an offset that users of an older sheet correct (013_1_9) is right in v2.
"""

from __future__ import annotations

from pathlib import Path

from mepipe.datasets import sheets
from mepipe.datasets.checks import Correction, accept, claim, reported, unlisted
from mepipe.datasets.findings import Release
from mepipe.datasets.folders import Folders, home

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
CORRECTIONS = (
    Correction(
        "028_4_1", "apex", 1143, 1105, "apex 1143 of the sheet lies after its offset 1134; 1105 as in tvaranka/meb"
    ),
    Correction(
        "032_3_1", "apex", 1930, 4930, "apex 1930 of the sheet is a slip for 4930 (onset 4896, offset 4970)"
    ),
    Correction("032_3_2", "apex", 5127, 5127, "apex 5127 is one frame after the onset; kept (tvaranka/meb has 5130)"),
)  # fmt: skip

_SHEETS = ("*SAMM_Micro_FACS_Codes_v2*", "*SAMM_Micro_FACS_Codes*", "SAMM.*")
_PLACES = (".", "SAMM", "SAMM/SAMM", "SAMM_CROP", "SAMM_CROP/SAMM_CROP", "*", "..")
_NEEDED = ("Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame", "Action Units", "Estimated Emotion")
_KNOWN = ("Inducement Code", "Duration", "Micro", "Objective Classes", "Notes")
_SUBJECT = r"[0-9]{3}"


def read(root: Path) -> Release:
    """The samples of a SAMM release, in the order of its sheet, and what is wrong with it.

    root: the folder that holds SAMM/ (or SAMM_CROP/), or that folder itself; clips are relative to it.
    Raises MepipeError when there is no sheet, no header in it or no frames: a row that is bad is left out instead,
    with an 'error' finding that names file and row.
    """
    release = Release()
    frames = home(root, _SUBJECT, [r"^(?!.*crop)"], "006, 007, ...", release)
    sheet = sheets.find(root, _SHEETS, _PLACES, release)
    folders = Folders()
    used: dict[Path, str] = {}
    for row in sheets.read(sheet, _NEEDED, _KNOWN, release, page="MICRO_ONLY").rows:
        with reported(release, row.where):
            subject = sheets.subject_of(row, "", 3)
            clip = row.filled("Filename")
            folder = folders.find(frames, subject, clip)
            claim(used, folder, clip)
            accept(
                release,
                row.where,
                root,
                emotions=EMOTIONS,
                corrections=CORRECTIONS,
                id=clip,
                subject=subject,
                clip=folder.relative_to(root).as_posix(),
                onset=row.number("Onset Frame"),
                apex=row.whole_or_none("Apex Frame"),
                offset=row.number("Offset Frame"),
                fps=FPS,
                emotion=row.text("Estimated Emotion"),
                aus=row.text("Action Units"),
                objective=row.whole_or_none("Objective Classes"),
            )
    clips = (frames / s / c for s in folders.names(frames) if s.isdigit() for c in folders.names(frames / s))
    unlisted(release, root, clips, used, sheet.name)
    return release

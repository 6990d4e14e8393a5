"""DFME, the public part: 2629 micro-expressions of 259 subjects, 200, 300 or 500 fps by subject (Zhao et al. 2023).

    train_data/train_data/sub0003_01/00109.png       no folder for the subject; frames from 0 in each clip
    test_data_A/.../sub..., test_data_B/.../sub...
    full_release_annotation/training_full_with_AU.xlsx, testA_full_with_AU.xlsx, testB_full_with_AU.xlsx

One sheet for each part of the fixed split, which becomes the manifest's column `split`: train, test-a, test-b. Subjects
are in one part only, so a clip's folder is found by its name, whatever the folder of its part is called. The published
rows are clean: onset < apex < offset, no name twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mepipe.datasets import sheets
from mepipe.datasets.checks import accept, claim, reported, unlisted
from mepipe.datasets.findings import Release
from mepipe.datasets.folders import Folders, homes
from mepipe.errors import MepipeError

LICENCE = (
    "DFME is released for research only, under an agreement signed with its authors: "
    "https://mea-lab-421.github.io. Frames may not be passed on."
)
CITATION = (
    "S. Zhao, H. Tang, X. Mao, S. Liu, Y. Zhang, H. Wang, T. Xu, E. Chen: DFME: A New Benchmark for Dynamic Facial "
    "Micro-expression Recognition. IEEE Transactions on Affective Computing 15(3), 2024, 1371-1386."
)
# In the order of EmotionId.
EMOTIONS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
RATES = (200, 300, 500)
SPLITS = {"train": ("*train*AU*", "*train*"), "test-a": ("*testA*", "*test_A*"), "test-b": ("*testB*", "*test_B*")}

_PLACES = ("full_release_annotation", "full_release_annotation/*", "*annotation*", "*annotation*/*", ".", "*")
_NEEDED = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "Fps")
_KNOWN = ("EmotionId", "AU")
_CLIP = r"sub[0-9]{1,4}_[0-9]{1,3}"


def read(root: Path) -> Release:
    """The samples of a DFME release, part by part in the order of its sheets, and what is wrong with them.

    root: the folder that holds the parts' folders and the sheets, or one above; clips are relative to it. A part whose
    sheet is not there is passed over with a 'note'. Raises MepipeError when there is no sheet or no clip's folder.
    """
    release = Release()
    places = homes(root, _CLIP)
    if not places:
        msg = f"No clips' folders (sub0003_01, ...) in {root}, nor in the folders under it.\n"
        raise MepipeError(msg + "Give the folder that holds train_data/ as --root.")
    found = _sheets(root, release)
    folders = Folders()
    used: dict[Path, str] = {}
    for split, row in _rows(found, release):
        with reported(release, row.where):
            clip, subject = row.filled("Filename").lower(), sheets.subject_of(row, "sub", 4)
            folder = _folder(places, folders, clip, split)
            claim(used, folder, clip)
            _check_row(release, row, clip, subject)
            accept(
                release,
                row.where,
                root,
                emotions=EMOTIONS,
                id=clip,
                subject=subject,
                clip=folder.relative_to(root).as_posix(),
                onset=row.number("OnsetFrame"),
                apex=row.whole_or_none("ApexFrame"),
                offset=row.number("OffsetFrame"),
                fps=row.number("Fps"),
                emotion=row.text("Emotion"),
                aus=row.text("AU"),
                split=split,
            )
    read_from = {folder.parent for folder in used}
    clips = (p / n for p in places if p in read_from for n in folders.names(p) if re.fullmatch(_CLIP, n, re.IGNORECASE))
    unlisted(release, root, clips, used, ", ".join(sheet.name for sheet in found.values()))
    return release


def _sheets(root: Path, release: Release) -> dict[str, Path]:
    """The sheet of each part that has one."""
    found = {}
    for split, patterns in SPLITS.items():
        try:
            found[split] = sheets.find(root, patterns, _PLACES, release)
        except MepipeError as error:
            problem = str(error)
            release.report("note", ".", f"no sheet of the part {split}: its clips are passed over.")
    if not found:
        raise MepipeError(problem)
    return found


def _rows(found: dict[str, Path], release: Release) -> Iterator[tuple[str, sheets.Row]]:
    """Every row, with its part; a sheet that cannot be read is an 'error', and the others go on."""
    for split, sheet in found.items():
        rows: list[sheets.Row] = []
        with reported(release, sheet.name):
            rows = sheets.read(sheet, _NEEDED, _KNOWN, release).rows
        for row in rows:
            yield split, row


def _folder(places: list[Path], folders: Folders, clip: str, split: str) -> Path:
    """The clip's folder in whichever part has it; the part of its own name first."""
    own = split.replace("-", "")
    first, *others = sorted(places, key=lambda p: own not in re.sub("data|_", "", p.as_posix().lower()))
    for place in (first, *others):
        with suppress(MepipeError):
            return folders.find(place, clip)
    return folders.find(first, clip)


def _check_row(release: Release, row: sheets.Row, clip: str, subject: str) -> None:
    emotion, rate = row.text("Emotion").lower(), row.number("Fps")
    number = row.whole_or_none("EmotionId")
    if number is not None and emotion in EMOTIONS and EMOTIONS.index(emotion) != number:
        told = f"{clip}: EmotionId {number} does not stand for {emotion!r}, which is {EMOTIONS.index(emotion)}"
        release.report("warning", row.where, f"{told}. The word is kept; look at the row.")
    if rate and rate not in RATES:
        release.report("warning", row.where, f"{clip}: {rate} fps; DFME has 200, 300 and 500. Look at the row.")
    if not clip.startswith(f"{subject}_"):
        release.report("warning", row.where, f"{clip} is not a clip of subject {subject!r}. Look at the row.")

"""CAS(ME)^3, part A: 860 micro-expressions of 94 subjects, 30 fps, colour 1280x720, with depth maps (Li et al. 2022).

Two distributions, either of which is read, and of each expression the first that has it:

    Part_A_ME_clip/frame/spNo.1_a_355/355.jpg       a folder for each expression: subject, video, onset
    part_A/data/part_A/spNO.1/a/color/355.jpg       the long videos: frames begin with 1, numbers have gaps
    part_A/annotation/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx

Depth maps (`depth/`, 16-bit PNG of the same numbers) and the clips as videos lie beside the frames; mepipe reads
neither. Subjects are `spNO.1` in the sheet, `spNo.1` or `spNO1` in folders: they are matched by number; videos, `J` for
`j`, without regard to case. A sample is called spNO.1_a_355: a video has up to 17, so the onset is in its name.

Sheets, the best that is there: JpgIndex_v2; JpgIndex_v1, which it supersedes; CAS(ME)3_part_A_v2 and _v1, which list
macro-expressions too (passed over) and name no emotions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mepipe.datasets import checks, sheets
from mepipe.datasets.checks import Correction
from mepipe.datasets.findings import Release
from mepipe.datasets.folders import Folders, homes, shown
from mepipe.errors import MepipeError

LICENCE = (
    "CAS(ME)^3 is released for research only, under an agreement signed with the Institute of Psychology, Chinese "
    "Academy of Sciences: http://casme.psych.ac.cn/casme/e4. Frames may not be passed on."
)
CITATION = (
    "J. Li, Z. Dong, S. Lu, S.-J. Wang, W.-J. Yan, Y. Ma, Y. Liu, C. Huang, X. Fu: CAS(ME)^3: A Third Generation "
    "Facial Spontaneous Micro-Expression Database with Depth Information and High Ecological Validity. "
    "IEEE Transactions on Pattern Analysis and Machine Intelligence 45(3), 2023, 2782-2800."
)
FPS = 30.0
EMOTIONS = ("disgust", "surprise", "others", "fear", "anger", "sad", "happy")

_OWN = "as in the database's own program"
_MEB = "as in tvaranka/meb"
# The six rows of sheet v2 whose frame numbers cannot be, and of the 15 with a hand before the face on the database's
# list of errors (casme3_partA_error_list_ZhouJu.xlsx) the three that are known by name. Ids have the sheet's onset.
CORRECTIONS = (
    Correction("spNO.149_d_112", "apex", 83, 123, f"apex 83 of the sheet lies before its onset 112; 123 {_MEB}"),
    Correction("spNO.214_c_5", "offset", 3460, 34, f"offset 3460 of the sheet is 115 s after its onset 5; 34 {_MEB}"),
    Correction("spNO.216_d_3647", "onset", 3647, 2647, "onset 3647 of the sheet is a slip for 2647 (apex 2668)"),
    Correction("spNO.216_e_0", "onset", 0, 1, f"there is no frame 0; onset 1 {_OWN}"),
    Correction("spNO.216_e_0", "apex", 0, 12, f"there is no frame 0; apex 12 {_OWN}"),
    Correction("spNO.40_e_1812", "offset", 0, 1845, f"offset 0 of the sheet lies before its onset; 1845 {_MEB}"),
    Correction("spNO.40_e_2327", "offset", 0, 2403, f"offset 0 of the sheet lies before its onset; 2403 {_MEB}"),
)
OCCLUDED = frozenset({"spNO.2_e_138", "spNO.145_g_150", "spNO.147_d_1146"})

_NEEDED = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU")
_KNOWN = (*_NEEDED, "Objective class", "emotion", "Expression type")
_SHEETS = (
    "*part_A_ME_label_JpgIndex_v2*.xls*",
    "*part_A_ME_label_JpgIndex_v1*.xls*",
    "*part_A_ME_label_JpgIndex*.csv",
    "*CAS(ME)3_part_A_v2*.xls*",
    "*CAS(ME)3_part_A_v1*.xls*",
)
_PLACES = (
    ".",
    "annotation",
    "annotation/part*A",
    "part*A/annotation",
    "part*A/annotation/part*A",
    "Part_A_ME_clip",
    "..",
)
_ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7}
_SUBJECT = re.compile(r"sp ?no\.? ?([0-9]{1,4})", re.IGNORECASE)
_NOT_HERE = re.compile(r"part[_ ]?[bc](?![a-z])", re.IGNORECASE)
_CLIP = re.compile(r"(sp ?no\.? ?[0-9]{1,4})_([a-z])_([0-9]{1,9})", re.IGNORECASE)


def read(root: Path) -> Release:
    """The micro-expressions of part A, in the order of the sheet, and what is wrong with them.

    root: the folder that holds part_A/ or Part_A_ME_clip/, or any inside that still holds the frames; the sheet may lie
    beside it. Raises MepipeError when there are no frames at all or no sheet that can be read.
    """
    if not root.is_dir():
        msg = f"No folder at {root}. Give the folder that holds part_A/ or Part_A_ME_clip/ as --root."
        raise MepipeError(msg)
    release = Release()
    frames = _Frames(root, release)
    sheet = sheets.find(root, _SHEETS, _PLACES, release)
    table = sheets.read(sheet, _NEEDED, _KNOWN, release)
    rows = [row for row in table.rows if row.text("Expression type").lower() != "macro-expression"]
    _judge(sheet, rows, release)
    emotions = EMOTIONS if any(row.text("emotion") for row in rows) else ()
    for row in rows:
        with checks.reported(release, row.where):
            _read_row(row, frames, emotions, root, release)
    if rows:
        checks.unlisted(release, root, frames.clips.values(), frames.used, sheet.name)
    return release


def subject_name(text: str) -> str:
    """'spNO.1' for 'spNo.1', 'spNO001' and the like. MepipeError for what names no subject."""
    found = _SUBJECT.fullmatch(text)
    if not found:
        msg = f"Subject is {text!r}, not of the form spNO.1. Correct this row."
        raise MepipeError(msg)
    return f"spNO.{int(found[1])}"


class _Frames:
    """Where the frames of an expression are: in a folder of its own, or in that of the video which it is part of."""

    def __init__(self, root: Path, release: Release) -> None:
        self.clips: dict[tuple[str, str, int], Path] = {}  # by subject, video and onset
        self.subjects: dict[str, Path] = {}
        self.used: set[Path] = set()
        self._folders = Folders()
        self._root = root
        for place in homes(root, f"{_SUBJECT.pattern}|{_CLIP.pattern}"):
            if not _NOT_HERE.search(place.relative_to(root).as_posix()) and place.name.lower() != "depth":
                self._add(place, release)
        if not self.clips and not self.subjects:
            msg = (
                f"No subjects' folders (spNO.1, spNO.2, ...) and no clips' folders (spNo.1_a_355) in {root}, nor in "
                "the folders under it.\nGive the folder that holds part_A/ or Part_A_ME_clip/ as --root."
            )
            raise MepipeError(msg)
        if self.clips and self.subjects:
            where = shown(next(iter(self.clips.values())).parent, root)
            release.report("note", where, "frames are taken from here; where a clip is missing, from the long videos.")

    def _add(self, place: Path, release: Release) -> None:
        second = []
        for name in self._folders.names(place):
            folder = place / name
            if clip := _CLIP.fullmatch(name):
                key = subject_name(clip[1]), clip[2].lower(), int(clip[3])
                second += [name] if self.clips.setdefault(key, folder) != folder else []
            elif _SUBJECT.fullmatch(name):
                second += [name] if self.subjects.setdefault(subject_name(name), folder) != folder else []
        if second:
            told = f"{', '.join(second[:3])}{' and others' if len(second) > 3 else ''}"
            release.report("warning", shown(place, self._root), f"{told} are here twice or elsewhere too. Keep one.")

    def folder(self, name: str, subject: str, video: str, onsets: Sequence[int]) -> Path:
        """The folder of the frames: the clip's, by one of `onsets`, or the video's; MepipeError when there is none."""
        for onset in onsets:
            if clip := self.clips.get((subject, video, onset)):
                self.used.add(clip)
                return clip
        home = self.subjects.get(subject)
        videos = [home / n for n in self._folders.names(home) if n.lower() == video] if home else []
        if len(videos) != 1:
            there = f" in {shown(home, self._root)}" if home else ""
            count = "several folders" if videos else "no folder of the clip or"
            msg = f"{name}: {count} of its video{there}. Copy it from the release, or correct this row."
            raise MepipeError(msg)
        colour = [n for n in self._folders.names(videos[0]) if n.lower() in ("color", "colour")]
        if not colour and not any(videos[0].glob("*.[jJ][pP]*")):
            place = shown(videos[0], self._root)
            msg = f"{name}: neither color/ nor .jpg in {place}, only depth. Copy the video's frames from the release."
            raise MepipeError(msg)
        return videos[0] / colour[0] if colour else videos[0]


def _judge(sheet: Path, rows: Sequence[sheets.Row], release: Release) -> None:
    """Reports what the sheet as a whole lacks."""
    if rows and re.search(r"v1\b", sheet.stem, re.IGNORECASE):
        told = "edition v1 has wrong rows, which v2 corrects. Get v2: github.com/jingtingEmmaLi/CAS-ME-3."
        release.report("warning", sheet.name, told)
    if rows and not any(row.text("emotion") for row in rows):
        told = "names no emotions: only schemes of objective classes can use it. Add the sheet ..._JpgIndex_v2."
        release.report("warning", sheet.name, told)


def _read_row(row: sheets.Row, frames: _Frames, emotions: Sequence[str], root: Path, release: Release) -> None:
    subject, video, emotion = subject_name(row.text("Subject")), row.text("Filename"), row.text("emotion")
    if row.text("Expression type").lower() not in ("", "micro-expression"):
        msg = f"Expression type is {row.text('Expression type')!r}, not Micro- or Macro-expression. Correct this row."
        raise MepipeError(msg)
    if not re.fullmatch(r"[A-Za-z]", video):
        msg = f"Filename is {video!r}, not the letter of a video. Correct this row."
        raise MepipeError(msg)
    onset = row.number("Onset")
    name = f"{subject}_{video.lower()}_{onset}"
    for told in (video, emotion):
        if told != told.lower():
            release.report("note", row.where, f"{name}: {told!r} is read as {told.lower()!r}.")
    corrected = [c.right for c in CORRECTIONS if (c.clip, c.field) == (name, "onset") and c.right is not None]
    folder = frames.folder(name, subject, video.lower(), (onset, *corrected))
    note = ""
    if name in OCCLUDED:
        note = "a hand hides part of the face, by the database's list of errors"
        release.report("warning", row.where, f"{name}: {note}. It is kept.")
    checks.accept(
        release,
        row.where,
        root,
        emotions=emotions,
        corrections=CORRECTIONS,
        id=name,
        subject=subject,
        clip=shown(folder, root),
        onset=onset,
        apex=row.whole_or_none("Apex"),
        offset=row.number("Offset"),
        fps=FPS,
        emotion=emotion.lower(),
        aus=row.text("AU"),
        objective=_objective(row, name, release),
        note=note,
    )


def _objective(row: sheets.Row, name: str, release: Release) -> int | None:
    """Objective class 1..7, which the sheet writes as I..VII."""
    text = row.text("Objective class")
    known = _ROMAN.get(text.upper()) or (int(text) if re.fullmatch(r"[1-7]", text) else None)
    if text and known is None:
        release.report(
            "warning", row.where, f"{name}: objective class {text!r} is none of I to VII and is passed over."
        )
    return known

"""SMIC: 164 micro-expressions of 16 subjects before a fast camera (HS, 100 fps), the last ten of them also before a
colour and a near-infrared camera (VIS and NIR, 25 fps, 71 expressions). Frames 640x480 (Li et al. 2013).

It is distributed in three forms that share the frame numbers, those of the recordings, and little else:

    SMIC_all_raw/HS/s1/micro/negative/s1_ne_01/image564321.bmp          no sheet: the folder is the expression
    SMIC_all_cropped/HS/s1/micro/negative/s1_ne_01/reg_image564321.bmp  faces cut out; single frames are missing
    SMIC-E_raw image/HS_long/SMIC-HS-E/s01/s1_ne_01/image559740.jpg     with the time around it, and a sheet

One camera and one form are read: HS before VIS before NIR, then raw before cropped before long (see `smic_long`). For
another, give its folder as root, and the manifest a name, which is from then on a dataset like any other:

    mepipe manifest build smic --root SMIC_all_cropped/VIS -o manifests/smic_vis.csv

No apex is annotated. The expression is that of the clip's name (`ne`, `po`, `sur`), as in the list of MEGC 2019; the
folder or the sheet is compared with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mepipe.datasets import checks
from mepipe.datasets.findings import Release
from mepipe.datasets.folders import Folders, home, shown
from mepipe.datasets.frames import numbered_frames
from mepipe.errors import MepipeError

LICENCE = (
    "SMIC is released for research only, under an agreement signed with the University of Oulu: "
    "https://www.oulu.fi/cmvs/node/41319. Frames may not be passed on."
)
CITATION = (
    "X. Li, T. Pfister, X. Huang, G. Zhao, M. Pietikäinen: A Spontaneous Micro-expression Database: Inducement, "
    "Collection and Baseline. IEEE Conference on Automatic Face and Gesture Recognition (FG), 2013."
)
FPS = {"HS": 100.0, "VIS": 25.0, "NIR": 25.0}
EMOTIONS = {"ne": "negative", "po": "positive", "sur": "surprise"}

# Negative by the sheet of the long form (and by the folder, in copies where that was sorted by the sheet); the name,
# the list of MEGC 2019 and other users say surprise.
_SLIPS = frozenset({"s18_sur_03"})

_CLIP = re.compile(r"s([0-9]{1,3})_(ne|po|sur)_([0-9]{1,3})", re.IGNORECASE)
_SUBJECTS = r"s[0-9]{1,3}"
_CAMERA = re.compile(r"(?<![a-z])(hs|vis|nir)(?![a-z])", re.IGNORECASE)
_OTHER_CAMERA, _NIR = r"(?<![a-z])(vis|nir)(?![a-z])", r"(?<![a-z])nir(?![a-z])"
_LONG = r"long|[-_]e(/|$)"
_PREFER = (
    rf"^(?!.*({_OTHER_CAMERA}|{_LONG}|crop))",
    rf"^(?!.*({_OTHER_CAMERA}|{_LONG}))",
    rf"^(?!.*{_OTHER_CAMERA})",
    rf"^(?!.*({_NIR}|{_LONG}|crop))",
    rf"^(?!.*({_NIR}|{_LONG}))",
    rf"^(?!.*{_NIR})",
)


def read(root: Path) -> Release:
    """The samples of one camera and one form of SMIC, in the order of folders or sheet, and what is wrong with them.

    root: the folder that holds SMIC_all_raw/ or one of the others, or any folder inside, down to that of the subjects.
    Raises MepipeError when no subject's folder is there or, for long clips, no sheet that can be read.
    """
    from mepipe.datasets import smic_long

    release = Release()
    place = home(root, _SUBJECTS, _PREFER, "s1, s2, ... or s01", release)
    camera = _camera(place, root, release)
    folders = Folders()
    subjects = sorted((n for n in folders.names(place) if re.fullmatch(_SUBJECTS, n, re.IGNORECASE)), key=_number)
    inside = {name.lower() for subject in subjects for name in folders.names(place / subject)}
    if inside & {"micro", *EMOTIONS.values()}:
        for subject in subjects:
            _read_subject(place / subject, folders, camera, root, release)
    else:
        smic_long.read(place, subjects, folders, camera, root, release)
    return release


def clip_name(text: str, subject: str) -> str:
    """A clip's name as the plain release has it: 's1_ne_01' for 'S01_NE_1'. subject: 's1' or 's01', or just '1'.

    MepipeError when it is no clip's name, or that of another subject's clip.
    """
    found = _CLIP.fullmatch(text)
    if not found:
        msg = f"{text!r} is not the name of a clip, such as s1_ne_01 (ne, po or sur). Correct it."
        raise MepipeError(msg)
    name = f"s{int(found[1])}_{found[2].lower()}_{int(found[3]):02d}"
    if int(found[1]) != _number(subject):
        msg = f"{name} is not a clip of subject {subject}. Put it where it belongs."
        raise MepipeError(msg)
    return name


def emotion_of(clip: str) -> str:
    """'negative', 'positive' or 'surprise', by the name of a clip."""
    return EMOTIONS[clip.split("_")[1]]


def compared(release: Release, where: str, clip: str, told: str, teller: str) -> str:
    """The manifest's note for a clip of which folder or sheet (`teller`) tells another expression than its name."""
    emotion = emotion_of(clip)
    if told.lower() == emotion:
        return ""
    note = f"{emotion} by its name, {told or 'nothing'} by {teller}"
    if clip in _SLIPS:
        release.report("note", where, f"{clip}: {note}, a known slip. The name is followed.")
    else:
        release.report("warning", where, f"{clip}: {note}. The name is followed; correct what is wrong.")
    return note


def _camera(place: Path, root: Path, release: Release) -> str:
    """By the nearest folder's name that tells: of `place` itself or of the three above, which may be above the root."""
    for name in reversed(place.absolute().parts[-4:]):
        if found := _CAMERA.search(name):
            return found[1].upper()
    release.report(
        "warning",
        shown(place, root),
        "no folder on the way is called HS, VIS or NIR: taken for HS, 100 fps. Rename it if that is wrong.",
    )
    return "HS"


def _number(subject: str) -> int:
    digits = subject.lower().removeprefix("s")
    return int(digits) if re.fullmatch(r"[0-9]{1,9}", digits) else -1


def _read_subject(subject: Path, folders: Folders, camera: str, root: Path, release: Release) -> None:
    """Raw and cropped clips: a folder is the expression, from its first frame to its last."""
    for folder, emotion in _clips(subject, folders, root, release):
        where = shown(folder, root)
        with checks.reported(release, where):
            clip = clip_name(folder.name, subject.name)
            frames = numbered_frames(folder)
            note = compared(release, where, clip, emotion, "its folder")
            checks.accept(
                release,
                where,
                root,
                id=clip,
                subject=clip.split("_")[0],
                clip=where,
                onset=min(frames),
                offset=max(frames),
                fps=FPS[camera],
                emotion=emotion_of(clip),
                note=note,
            )


def _clips(subject: Path, folders: Folders, root: Path, release: Release) -> Iterator[tuple[Path, str]]:
    """(clip's folder, name of the folder it lies in), from s1/micro/negative/ and so on, or from s1/negative/."""
    for level in folders.names(subject):
        if level.lower() == "micro":
            below = [subject / level / name for name in folders.names(subject / level)]
        else:
            below = [subject / level]
        for emotion in below:
            if emotion.name.lower() in EMOTIONS.values():
                for clip in folders.names(emotion):
                    yield emotion / clip, emotion.name.lower()
            elif emotion.name.lower() != "non_micro":
                known = "micro, non_micro, negative, positive or surprise"
                release.report("warning", shown(emotion, root), f"is none of {known} and is passed over. Rename it.")

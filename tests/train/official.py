"""Releases of the official annotation's shape: form of the sheets, clips of the composite, counts of every emotion.

Clips of MEGC 2019 stand under their own names, with an emotion of their class; those that the composite leaves out
for their emotion have made-up names. Onset, apex and offset are made up, and frames are empty files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mepipe.datasets.demo import samm_layout, workbook

COURSE = (10, 12, 14)
# Emotions in the order in which the clips of a class are given them, so that the sheet's counts come out.
SAMM = {
    "0": Counter(Anger=57, Contempt=12, Disgust=9, Fear=8, Sadness=6),
    "1": Counter(Happiness=26),
    "2": Counter(Surprise=15),
}
CASME2 = {"0": Counter(disgust=62, repression=26), "1": Counter(happiness=32), "2": Counter(surprise=25)}
BY_NAME = {
    # in the sheets, and not in the list: no apex; apex = onset (then corrected); relabelled in 2019
    ("04", "EP12_01f"): ("disgust", (261, "/", 321)),
    ("05", "EP09_05f"): ("repression", (69, 69, 85)),
    ("24", "EP07_01"): ("sadness", COURSE),
    ("24", "EP07_04f"): ("sadness", COURSE),
    ("24", "EP10_03"): ("sadness", COURSE),
}
SMIC = {"ne": "negative", "po": "positive", "sur": "surprise"}


def samm(root: Path, rows: Iterable[Sequence[str]]) -> Path:
    """Of rows (subject, clip, label) of the list, and 26 clips labelled Other, all that subject 025 has among them."""
    emotions = {label: counts.elements() for label, counts in SAMM.items()}
    listed = [(clip, next(emotions[label])) for _, clip, label in rows]
    others = [(f"025_9_{n}", "Other") for n in range(6)] + [(f"006_9_{n}", "Other") for n in range(20)]
    head = samm_layout.COLUMNS
    cells: list[Sequence[object]] = [("SAMM",)] + [()] * 12 + [head]
    for clip, emotion in sorted(listed + others):
        _frames(root / "SAMM" / clip[:3] / clip, f"{clip[:3]}_{{:04d}}.jpg", COURSE)
        cells.append((clip[:3], clip, int(clip.split("_")[1]), *COURSE, 5, "Micro - 1/2", "4+7", emotion, 3, None))
    workbook.write(root / samm_layout.SHEET, {"MICRO_ONLY": cells})
    return root


def casme2(root: Path, rows: Iterable[Sequence[str]], edition: str) -> Path:
    """The sheet of 2014 or 2019: 145 clips of the list, the five treated by name, 99 others, 4 sadness, 2 fear."""
    emotions = {label: counts.elements() for label, counts in CASME2.items()}
    listed = [(subject[3:], clip, next(emotions[label]), COURSE) for subject, clip, label in rows]
    for (subject, clip), (emotion, course) in BY_NAME.items():
        changed = edition == "2019" and subject == "24"
        listed.append((subject, clip, "surprise" if changed else emotion, course))
    listed += [(s, f"EP20_{n:02d}", e, COURSE) for s, n, e in _left_out()]
    newer = ("Objective Classes",) if edition == "2019" else ()
    titles = ("Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units")
    cells: list[Sequence[object]] = [(*titles, "Estimated Emotion", *newer)]
    for subject, clip, emotion, course in sorted(listed):
        _frames(root / "CASME2_RAW_selected" / f"sub{subject}" / clip, "img{}.jpg", course)
        cells.append((subject, clip, None, *course, None, 12, emotion, *((3,) if newer else ())))
    name = {"2014": "CASME2-coding-20140508.xlsx", "2019": "CASME2-coding-20190701.xlsx"}[edition]
    workbook.write(root / name, {"Sheet1": cells, "Sheet2": [], "Sheet3": []})
    return root


def _left_out() -> Iterator[tuple[str, int, str]]:
    """Others, sadness and fear of made-up clips; subjects 10 and 18 have nothing else."""
    kinds = Counter(others=99, sadness=4, fear=2)
    subjects = [f"{s:02d}" for s in range(1, 27)]
    for n, emotion in enumerate(kinds.elements()):
        yield subjects[n % 26] if emotion == "others" else "18", n, emotion


def smic(root: Path, rows: Iterable[Sequence[str]]) -> Path:
    """The raw form: folders are the annotation, and neither subjects nor clips are padded as the list has them."""
    for _, clip, _ in rows:
        number, kind, nth = clip[1:].split("_")
        subject = f"s{int(number)}"
        folder = root / "SMIC_all_raw" / "HS" / subject / "micro" / SMIC[kind] / f"{subject}_{kind}_{nth}"
        _frames(folder, "image{:06d}.bmp", COURSE)
    return root


def _frames(folder: Path, name: str, course: Sequence[object]) -> None:
    folder.mkdir(parents=True)
    for number in range(int(str(course[0])), int(str(course[2])) + 1):
        (folder / name.format(number)).touch()

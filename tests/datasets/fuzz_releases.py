"""Small look-alike releases of every database, to be mangled: what is planted in them, and what their rows can mean."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from mepipe.datasets.demo import plan, smic_layout, writer
from mepipe.datasets.demo.plan import Entry
from mepipe.datasets.manifest import Sample
from tests.datasets.mangled_sheets import Sheet, plain
from tests.datasets.test_smic import LONG, SECOND_EDITION, SECOND_TITLES, row, write_edition

FRAMES = 11  # of an expression: one may be missing, two are more than a tenth
Cells = Callable[[str], set[str]]  # what stands in a row under a title


@dataclass(frozen=True)
class Kind:
    """A database in one of its forms.

    frame: the file name of an entry's frame. onset, apex, offset, emotion: titles of columns, none where the form has
    no such column. subject, id: what a row's subject and id are, as format strings of the number {n} and the text {s}
    in the column Subject, the column Filename {f}, the same in small letters {l}, the onset {o}, the {subject}.
    around: frames before and after the expression in its folder.
    """

    adapter: str
    frame: Callable[[Entry, int], str]
    onset: tuple[str, ...] = ()
    apex: tuple[str, ...] = ()
    offset: tuple[str, ...] = ()
    emotion: tuple[str, ...] = ()
    subject: str = ""
    id: str = ""
    around: int = 0
    folder: Callable[[Entry], str] | None = None

    @property
    def layout(self) -> writer.Layout:
        return writer.layout_module(self.adapter)

    def folder_of(self, entry: Entry) -> str:
        """Of the entry's frames, relative to the release."""
        return self.folder(entry) if self.folder else self.layout.clip_folder(entry)

    def names(self, cells: Cells, onset: str) -> set[tuple[str, str]]:
        """Every (id, subject) that a row can stand for."""
        found = set()
        for s in cells("Subject"):
            number = int(re.sub(r"[^0-9]", "", s) or "0")
            subject = self.subject.format(s=s, n=number)
            for f in cells("Filename"):
                found.add((self.id.format(subject=subject, f=f, l=f.lower(), o=onset), subject))
        return found


KINDS = {
    "samm": Kind(
        "samm",
        lambda e, n: f"{e.subject}_{n:0{e.digits}d}.jpg",
        ("Onset Frame",),
        ("Apex Frame",),
        ("Offset Frame",),
        ("Estimated Emotion",),
        subject="{n:03d}",
        id="{f}",
    ),
    "casme2": Kind(
        "casme2",
        lambda e, n: f"img{n}.jpg",
        ("OnsetFrame",),
        ("ApexFrame",),
        ("OffsetFrame",),
        ("Estimated Emotion",),
        subject="sub{n:02d}",
        id="{subject}_{f}",
        around=1,
    ),
    "smic": Kind("smic", lambda e, n: smic_layout.frame_name(n)),
    "smic-long": Kind(
        "smic",
        lambda e, n: f"image{n:06d}.jpg",
        ("OnsetF", "Onset2F", "Onset3F"),
        (),
        ("OffsetF", "Offset2F", "Offset3F"),
        subject="s{n}",
        id="{l}",
        around=2,
        folder=lambda e: f"{LONG}/s{int(e.subject[1:]):02d}/{e.name}",
    ),
    "casme3": Kind(
        "casme3",
        lambda e, n: f"{n}.jpg",
        ("Onset",),
        ("Apex",),
        ("Offset",),
        ("emotion",),
        subject="spNO.{n}",
        id="{subject}_{l}_{o}",
        around=1,
    ),
    "dfme": Kind(
        "dfme",
        lambda e, n: f"{n:05d}.png",
        ("OnsetFrame",),
        ("ApexFrame",),
        ("OffsetFrame",),
        ("Emotion",),
        subject="sub{n:04d}",
        id="{f}",
    ),
}


@cache
def entries(name: str) -> tuple[Entry, ...]:
    """Two subjects, two expressions each and one more."""
    layout = KINDS[name].layout
    planned = plan.entries(2, 2, seed=1, fps=layout.FPS)
    return tuple(layout.adapt([replace(e, spec=replace(e.spec, frames=FRAMES, apex=5)) for e in planned]))


@cache
def sheets(name: str) -> tuple[Sheet, ...]:
    """The sheets as they are before anybody mangles them, with paths relative to the release."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if name == "smic-long":
            rows = [row(e.name, (e.onset, e.offset)) for e in entries(name)]
            write_edition(root / LONG / SECOND_EDITION, SECOND_TITLES, rows)
        else:
            KINDS[name].layout.write_sheets(root, entries(name), faults=False)
        return tuple(Sheet.load(path).copy(path.relative_to(root)) for path in sorted(root.rglob("*.xlsx")))


@cache
def rows(name: str) -> dict[str, list[str]]:
    """The row of each entry, as text, by the entry's name."""
    kind, found = KINDS[name], {}
    for sheet in sheets(name):
        for index, cells in enumerate(sheet.body):
            (onset,) = sheet.values(index, kind.onset[0])
            ((id_, _),) = kind.names(lambda title, s=sheet, k=index: s.values(k, title), onset)  # type: ignore[misc]
            found[id_] = [plain(cell) for cell in cells]
    return found


def frame_names(name: str, entry: Entry) -> list[str]:
    """Of the files that are planted in the entry's folder for it."""
    kind = KINDS[name]
    around = range(max(0, entry.onset - kind.around), entry.offset + kind.around + 1)
    return [kind.frame(entry, number) for number in around]


def write_frames(name: str, root: Path) -> None:
    """Empty files: adapters do not decode."""
    for entry in entries(name):
        folder = root / KINDS[name].folder_of(entry)
        folder.mkdir(parents=True, exist_ok=True)
        for file in frame_names(name, entry):
            os.close(os.open(folder / file, os.O_CREAT))  # half the time of touch()


def sample(name: str, entry: Entry) -> Sample:
    """What the entry is to become, action units, objective class and split aside."""
    return Sample(
        id=entry.name,
        subject=entry.subject,
        clip=KINDS[name].folder_of(entry),
        onset=entry.onset,
        apex=entry.apex if KINDS[name].apex else None,
        offset=entry.offset,
        fps=entry.fps,
        emotion=entry.emotion,
    )


def essence(sample: Sample) -> dict[str, object]:
    """The fields that `sample` fills."""
    return sample.model_dump(include={"id", "subject", "clip", "onset", "apex", "offset", "fps", "emotion"})


def loosely(text: str) -> str:
    """Capitals and zero padding aside: 'sub1' for 'Sub01'."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", text.lower())

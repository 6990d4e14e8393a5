"""What people and file systems do to folders of frames: each takes a clip's folder, the root, a random generator."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from mepipe.datasets.frames import IMAGE_SUFFIXES

_NAMES = (
    "neu",
    "Copy of {}",
    "{} (1)",
    "{}.",
    "é{}",
    "{}\ufffd",
    "CON",
    "x" * 200,
    "{}_",
    "0{}",
    "spNO.1",
    "s1",
    "sub01",
)


def _somewhere(folder: Path, root: Path, rng: random.Random) -> Path:
    """The folder or one above it, below the root."""
    above = [folder, *(path for path in folder.parents if path.is_relative_to(root) and path != root)]
    return rng.choice([folder, *above])


def _rename(folder: Path, root: Path, rng: random.Random) -> None:
    place = _somewhere(folder, root, rng)
    name = place.name
    new = rng.choice([name.upper(), name.lower(), os.fsdecode(b"\xff\xfe" + name.encode()), *_NAMES]).format(name)
    if not os.path.lexists(place.parent / new):
        place.rename(place.parent / new)


def _remove(folder: Path, root: Path, rng: random.Random) -> None:
    place = _somewhere(folder, root, rng)
    shutil.rmtree(place)
    if rng.random() < 0.4:
        place.mkdir()
    elif rng.random() < 0.3:
        place.write_bytes(b"a file")


def _double(folder: Path, root: Path, rng: random.Random) -> None:
    place = _somewhere(folder, root, rng)
    new = place.parent / rng.choice([*_NAMES, place.name.swapcase(), f"0{place.name}"]).format(place.name)
    if not os.path.lexists(new):
        shutil.copytree(place, new, symlinks=True)


def _link(folder: Path, root: Path, rng: random.Random) -> None:
    """Links that lead in circles, or nowhere, beside the frames or in place of a folder."""
    place = _somewhere(folder, root, rng)
    target = rng.choice([root, place, place.parent, Path("nowhere"), Path("..")])
    if rng.random() < 0.5:
        name = rng.choice(["link", "sub01", "006", "s1", "micro", "99999.jpg", "color"])
        if not os.path.lexists(place / name):
            (place / name).symlink_to(target)
    else:
        shutil.rmtree(place)
        place.symlink_to(rng.choice([target, Path(place.name)]))


def _nest(folder: Path, root: Path, rng: random.Random) -> None:
    place = _somewhere(folder, root, rng)
    inner = place / place.name
    if not os.path.lexists(inner):
        inner.mkdir()
        for child in list(place.iterdir()):
            if child != inner:
                child.rename(inner / child.name)


def frames(folder: Path, root: Path, rng: random.Random) -> None:
    """Frames are lost, doubled, renamed; what is no frame comes in."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not files:
        return
    one, what = rng.choice(files), rng.randrange(7)
    if what == 0:
        one.unlink()
    elif what == 1:
        for path in rng.sample(files, rng.randrange(1, len(files) + 1)):
            path.unlink()
    elif what == 2:
        one.rename(one.with_suffix(rng.choice([".txt", ".JPG", ".tiff", ""])))
    elif what == 3:
        one.with_name(f"copy_{one.name}").touch()
    elif what == 4:
        one.rename(
            one.with_name(rng.choice(["x.jpg", "7" * 60 + ".jpg", os.fsdecode(b"\xff12.jpg"), "-5.png", "٣.jpg"]))
        )
    elif what == 5:
        for name in ("Thumbs.db", "._img3.jpg", ".DS_Store", "readme12.txt"):
            (folder / name).touch()
    else:
        one.unlink()
        one.mkdir() if rng.random() < 0.5 else one.symlink_to("nowhere")


OPERATIONS: tuple[Callable[[Path, Path, random.Random], None], ...] = (
    *(_rename, _remove, _double, _link, _nest, frames, frames, frames),
)

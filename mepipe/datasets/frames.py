"""Frame folders: which file is which frame."""

from __future__ import annotations

import re
from pathlib import Path

from mepipe.errors import MepipeError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})
_DIGITS = re.compile(r"[0-9]+")


def numbered_frames(folder: Path) -> dict[int, Path]:
    """Frame number -> image file, sorted by number: the number is the last run of digits in the file's stem.

    Names are never made from numbers: padding varies within one database (`006_1_0083.jpg`, `006_1_12256.jpg`), and
    sorting by name puts `img10` before `img9`. Hidden files, other kinds of files and images without a number are
    passed over.

    Raises MepipeError when the folder is missing, holds no numbered image, or holds one number twice.
    """
    if not folder.is_dir():
        msg = f"No folder of frames at {folder}.\nCheck the root and the clip's path."
        raise MepipeError(msg)
    frames: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        digits = _DIGITS.findall(path.stem)
        if path.name.startswith(".") or path.suffix.lower() not in IMAGE_SUFFIXES or not digits:
            continue
        number = int(digits[-1])
        if number in frames:
            msg = (
                f"Frame {number} is there twice in {folder}: {frames[number].name} and {path.name}.\n"
                "Keep one of them, or put different recordings into different folders."
            )
            raise MepipeError(msg)
        frames[number] = path
    if not frames:
        msg = (
            f"No numbered image in {folder}.\n"
            f"Expected files such as img1.jpg ({', '.join(sorted(IMAGE_SUFFIXES))}); check the clip's path."
        )
        raise MepipeError(msg)
    return dict(sorted(frames.items()))

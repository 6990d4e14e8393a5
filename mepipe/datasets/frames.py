"""Frame folders: which file is which frame; and how frames are named to a person."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
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
    try:
        with os.scandir(folder) as entries:  # tells files from folders without a look at each
            names = sorted(entry.name for entry in entries if _is_file(entry))
    except (FileNotFoundError, NotADirectoryError):
        msg = f"No folder of frames at {folder}.\nCheck the root and the clip's path."
        raise MepipeError(msg) from None
    except OSError as error:
        msg = f"Cannot list {folder}: {error.strerror}.\nCheck its permissions and the disk it lies on."
        raise MepipeError(msg) from None
    frames: dict[int, Path] = {}
    for name in names:
        stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a tenth of the time of Path, over a million frames
        digits = _DIGITS.findall(stem)
        if name.startswith(".") or suffix.lower() not in IMAGE_SUFFIXES or not digits:
            continue
        number = int(digits[-1])
        if number in frames:
            msg = (
                f"Frame {number} is there twice in {folder}: {frames[number].name} and {name}.\n"
                "Keep one of them, or put different recordings into different folders."
            )
            raise MepipeError(msg)
        frames[number] = folder / name
    if not frames:
        msg = (
            f"No numbered image in {folder}.\n"
            f"Expected files such as img1.jpg ({', '.join(sorted(IMAGE_SUFFIXES))}); check the clip's path."
        )
        raise MepipeError(msg)
    return dict(sorted(frames.items()))


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads to itself
        return False


def runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """[3, 4, 9] -> [(3, 4), (9, 9)]."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


def ranges(found: Sequence[tuple[int, int]]) -> str:
    """[(3, 5), (9, 9)] -> '3-5, 9'; at most eight pieces."""
    named = ", ".join(f"{first}-{last}" if first < last else str(first) for first, last in found[:8])
    return named if len(found) <= 8 else f"{named} and {len(found) - 8} more runs"

"""The list that comes with features computed elsewhere: a CSV with one row for each sample.

Columns. Required: `subject`, `emotion` (or `label`), and `id` or `clip` (the id is then subject_clip). For a folder:
`file`, inside it. Optional: `variable` (of an .npz, .h5 or .mat; default: the id), `clip`, `onset`, `apex`, `offset`,
`fps`, `aus`, `objective`, `split`, `note` as in a manifest, `dataset` (rows of others are passed over). Other columns
are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mepipe.datasets import manifest
from mepipe.errors import MepipeError
from mepipe.store import arrival, layout

_KNOWN = {"id", "subject", "emotion", "label", "clip", "file", "variable", "dataset"}
_KNOWN |= {*layout.NUMBERS, "fps", "aus", "split", "note"}


@dataclass(frozen=True)
class Row:
    """A line of the list. number: its place among all of them, from 0. sample: as a snapshot's row."""

    line: int
    number: int
    sample: Mapping[str, Any]
    file: str
    variable: str

    @property
    def id(self) -> str:
        """The sample's id."""
        return str(self.sample["id"])


@dataclass(frozen=True)
class List:
    """A list that was read. total: rows, also those of other datasets. unread: columns that nothing is made of."""

    name: str
    rows: list[Row]
    total: int
    unread: list[str]


def read(path: Path, dataset: str) -> List:
    """The samples of a list; MepipeError names the line that is wrong."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        msg = f"No list at {path}. It is a CSV with columns id, subject, emotion, file."
        raise MepipeError(msg) from None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read ({error}). A list is UTF-8 text."
        raise MepipeError(msg) from None
    found: list[Row] = []
    lines: dict[str, int] = {}
    unread: list[str] = []
    total = 0

    def check(header: list[str]) -> None:
        _check_header(header, path.name)
        unread.extend(h for h in header if h not in _KNOWN)

    for line, given in manifest.rows(text, path.name, check):
        total += 1
        if given.get("dataset", dataset) != dataset:
            continue
        row = _row(given, line, total - 1, f"{path.name}, line {line}")
        manifest.claim(lines, row.id, path.name, line)
        found.append(row)
    if not found:
        msg = f"{path.name}: no samples{f' of {dataset}' if total else ''}. Add a row for each, under the header."
        raise MepipeError(msg)
    return List(path.name, found, total, unread)


def _check_header(header: list[str], name: str) -> None:
    lacks = [
        *(["subject"] if "subject" not in header else []),
        *(["emotion (or label)"] if not {"emotion", "label"} & set(header) else []),
        *(["id (or clip)"] if not {"id", "clip"} & set(header) else []),
    ]
    if lacks or len(set(header)) < len(header) or {"emotion", "label"} <= set(header):
        what = f"lacks {', '.join(lacks)}" if lacks else "has a column twice, or both emotion and label"
        msg = f"{name}: {what}. Its columns: {', '.join(map(repr, header)) or 'none'}."
        raise MepipeError(msg)


def _row(given: Mapping[str, str], line: int, number: int, where: str) -> Row:
    def parsed(name: str, kind: type) -> Any:
        text = given.get(name, "")
        try:
            value = float(text) if text else None
            if value is not None and kind is int and not value.is_integer():
                raise ValueError
        except ValueError:
            msg = f"{where}: {name}: a number expected (got {text!r}). Correct this row."
            raise MepipeError(msg) from None
        return value if value is None else kind(value)

    sample: dict[str, Any] = {name: given.get(name, "") for name in ("subject", "clip", "aus", "split", "note")}
    sample["id"] = given.get("id") or f"{sample['subject']}_{sample['clip']}"
    sample["clip"] = sample["clip"] or sample["id"]
    sample["emotion"] = given.get("emotion", given.get("label", ""))
    sample |= {name: parsed(name, int) for name in layout.NUMBERS}
    sample |= {"fps": parsed("fps", float), "missing": "", "frames": ""}
    if not sample["subject"]:
        msg = f"{where}: no subject, and protocols tell people apart by it. Add it."
        raise MepipeError(msg)
    arrival.check_row(sample, where)
    return Row(line, number, sample, given.get("file", ""), given.get("variable", ""))

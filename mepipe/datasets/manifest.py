"""The manifest: a table of samples, one row each, kept as CSV so that it can be read, reviewed and diffed.

Columns. Required: `clip` (video file or folder of frames, relative to the database's root, or for anyone's own
manifest to the folder the CSV lies in), `onset`, `apex` (may be empty), `offset` (frame numbers, as the database
numbers its frames; for a video, 0-based), `fps`. Optional: `id` (default: the clip's name), `subject` (default:
the id), `emotion`, `aus` (normal form: see `mepipe.datasets.aus`), `objective` (objective class, 1..7), `split` (where
the database fixes who trains and who is tested), `missing` (frames between onset and offset that the release lacks,
such as "118 119"; decoding fills them from their neighbours), `note` (what was corrected, and why).
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, field_validator, model_validator

from mepipe.errors import MepipeError

REQUIRED = ("clip", "onset", "apex", "offset", "fps")
SELDOM = ("objective", "split", "missing")  # written only where a sample has them
COLUMNS = ("id", "subject", "clip", "onset", "apex", "offset", "fps", "emotion", "aus", *SELDOM, "note")
ID = re.compile(r"(?![. ]+\Z)[\w.()+ -]+")  # what a sample may be called: files are, too


class Sample(BaseModel):
    """One annotated micro-expression: a row of the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    subject: str
    clip: str
    onset: int = Field(ge=0)
    apex: int | None = Field(default=None, ge=0)
    offset: int = Field(ge=0)
    fps: float = Field(gt=0, le=100_000)
    emotion: str = ""
    aus: str = ""
    objective: int | None = Field(default=None, ge=1, le=7)
    split: str = ""
    missing: tuple[int, ...] = ()
    note: str = ""

    @field_validator("id")
    @classmethod
    def _id_is_a_name(cls, value: str) -> str:
        if not ID.fullmatch(value):
            msg = "letters, digits and . _ - + ( ) only"
            raise ValueError(msg)
        return value

    @field_validator("clip")
    @classmethod
    def _clip_stays_inside(cls, value: str) -> str:
        path = PurePosixPath(value.replace("\\", "/"))
        if not value or path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", value):
            msg = "a path inside the root, not absolute and without '..'"
            raise ValueError(msg)
        return str(path)

    @field_validator("missing", mode="before")
    @classmethod
    def _missing_is_numbers(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if not re.fullmatch(r"[0-9 ]*", value):
            msg = "frame numbers with spaces between them"
            raise ValueError(msg)
        return tuple(sorted({int(number) for number in value.split()}))

    @field_serializer("missing")
    def _missing_as_text(self, value: tuple[int, ...]) -> str:
        return " ".join(map(str, value))

    @field_validator("fps")
    @classmethod
    def _fps_is_finite(cls, value: float) -> float:
        if not math.isfinite(value):
            msg = "a finite number"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Sample:
        if self.onset > self.offset:
            msg = f"onset {self.onset} lies after offset {self.offset}"
            raise ValueError(msg)
        if self.apex is not None and not self.onset <= self.apex <= self.offset:
            msg = f"apex {self.apex} lies outside onset {self.onset} .. offset {self.offset}"
            raise ValueError(msg)
        if any(not self.onset < number < self.offset for number in self.missing):
            msg = f"missing frames {self.missing} lie outside onset {self.onset} .. offset {self.offset}, or on one"
            raise ValueError(msg)
        return self


def _whole(text: str) -> str:
    """'118.0', as spreadsheets and pandas write it, is 118; anything else is left for the model to judge."""
    return text[:-2] if re.fullmatch(r"-?\d+\.0", text) else text


def _row(record: dict[str, str], where: str) -> Sample:
    values: dict[str, Any] = dict(record)
    for name in ("onset", "apex", "offset", "objective"):
        values[name] = _whole(values.get(name) or "")
    values["apex"] = values["apex"] or None
    values["objective"] = values["objective"] or None
    values["id"] = values.get("id") or PurePosixPath((values["clip"] or "").replace("\\", "/")).stem
    values["subject"] = values.get("subject") or values["id"]
    try:
        return Sample.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        got = f" (got {values.get(field)!r})" if field else ""
        problem = first["msg"].removeprefix("Value error, ")
        msg = f"{where}: {field + ': ' if field else ''}{problem}{got}. Correct this row."
        raise MepipeError(msg) from None


def _check_header(header: Sequence[str], name: str) -> None:
    missing = [c for c in REQUIRED if c not in header]
    unknown = [c for c in header if c not in COLUMNS]
    if missing or unknown or len(set(header)) != len(header):
        found = ", ".join(map(repr, header)) or "nothing"
        what = "; ".join(
            part
            for part in (
                f"missing {', '.join(missing)}" if missing else "",
                f"unknown {', '.join(map(repr, unknown))}" if unknown else "",
                "a column twice" if len(set(header)) != len(header) else "",
            )
            if part
        )
        msg = f"{name}: columns are {found}: {what}. Required: {', '.join(REQUIRED)}; known: {', '.join(COLUMNS)}."
        raise MepipeError(msg)


def parse(text: str, name: str = "manifest") -> list[Sample]:
    """The samples of a manifest's text, in order; MepipeError names the row that is wrong."""
    samples: list[Sample] = []
    seen: dict[str, int] = {}
    for line, record in rows(text, name, lambda header: _check_header(header, name)):
        sample = _row(record, f"{name}, line {line}")
        claim(seen, sample.id, name, line)
        samples.append(sample)
    if not samples:
        msg = f"{name}: no samples. Add a row for each, under the header."
        raise MepipeError(msg)
    return samples


def rows(text: str, name: str, check: Callable[[list[str]], None]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and values, by column, of each row of a CSV, once `check` has seen the header.

    MepipeError names the line that is not CSV, or has more or fewer values than the header.
    """
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff")), strict=True)
    try:
        header = [h.strip() for h in reader.fieldnames or []]
        check(header)
        reader.fieldnames = header
        for record in reader:
            if None in record or None in record.values():
                where = f"{name}, line {reader.line_num}"
                msg = f"{where}: {len(header)} values expected, as in the header. Correct this row."
                raise MepipeError(msg)
            yield reader.line_num, {key: value.strip() for key, value in record.items()}
    except csv.Error as error:
        msg = f"{name}, line {reader.line_num}: not CSV ({error}). Save it as comma-separated text."
        raise MepipeError(msg) from None


def claim(lines: dict[str, int], sample: str, name: str, line: int) -> None:
    """Note in `lines` that a sample stands in this line; MepipeError where it stands in another already."""
    if sample in lines:
        msg = f"{name}, line {line}: id {sample!r} stands in line {lines[sample]} too. Give each sample its own id."
        raise MepipeError(msg)
    lines[sample] = line


def read(path: Path) -> list[Sample]:
    """The samples of a manifest file, in order. MepipeError names file, line, what was expected and what to do."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        msg = f"No manifest at {path}. Make it with: mepipe manifest build {path.stem}"
        raise MepipeError(msg) from None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read ({error}). A manifest is UTF-8 text."
        raise MepipeError(msg) from None
    return parse(text, str(path))


def dump(samples: Iterable[Sample]) -> str:
    """A manifest's text: the inverse of `parse`."""
    rows = [sample.model_dump() for sample in samples]
    columns = [name for name in COLUMNS if name not in SELDOM or any(row[name] for row in rows)]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        row["fps"] = f"{row['fps']:g}"
        writer.writerow({name: "" if row[name] is None else row[name] for name in columns})
    return out.getvalue()

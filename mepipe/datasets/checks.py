"""From a row of a sheet to a sample, the same for every database: correct, check, compare with the frames on disk."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mepipe.datasets import aus
from mepipe.datasets.findings import Release
from mepipe.datasets.folders import shown
from mepipe.datasets.frames import numbered_frames, ranges, runs
from mepipe.datasets.manifest import Sample
from mepipe.errors import MepipeError

# A micro-expression lasts at most 0.5 s. Above 1 s many annotators' clips are still right (low frame rates, slow
# offsets), so that is noted; above 3 s a frame number or the rate is wrong, or it is no micro-expression.
_LONG, _TOO_LONG = 1.0, 3.0
_MOST_IN_A_ROW = 2
_MOST_MISSING = 0.1


@dataclass(frozen=True)
class Correction:
    """A known error of a release, corrected only where the sheet still has the wrong value.

    clip: the sample's id. field: of the sample. wrong: the value, or the name of the field that it repeats ('onset',
    'offset'); None where the sheet has none. right: equal to `wrong` where the value is kept but deserves a remark.
    why: what is wrong, and where the right value is from; it goes into the manifest's `note`.
    """

    clip: str
    field: str
    wrong: int | str | None
    right: int | None
    why: str


@contextmanager
def reported(release: Release, where: str) -> Iterator[None]:
    """A MepipeError inside becomes an 'error' finding at `where`, and the work goes on after the block."""
    try:
        yield
    except MepipeError as error:
        release.report("error", where, str(error))


def accept(
    release: Release,
    where: str,
    root: Path,
    *,
    emotions: Sequence[str] = (),
    corrections: Sequence[Correction] = (),
    **fields: Any,
) -> Sample | None:
    """Add the sample with these fields (see Sample) to the release, unless something forbids it: then None.

    What was found is reported at `where`. Left out, with an 'error': an id that was there before; values that make no
    sample; no emotion, where the database has `emotions`; a folder `clip` without the onset's or the offset's frame,
    or with more than two frames in a row, or a tenth, missing between them. Kept, with a 'warning': fewer missing
    frames, listed in `missing`; no apex, unless the field is not given at all; an apex on onset or offset; an apex
    outside, which is dropped, since apex spotting can find it; an emotion that is none of `emotions`; action units that
    cannot be read, which are dropped, else they get their normal form; more than 3 s (a 'note' above 1 s).
    """
    with reported(release, where):
        name = fields["id"]
        first = release.rows.setdefault(name, where)
        if first != where:
            msg = f"{name or 'a row without a name'} stands in {first} too. Keep one of them."
            raise MepipeError(msg)
        notes = _correct(release, where, fields, corrections)
        _check_emotion(release, where, name, fields.get("emotion", ""), emotions)
        fields["aus"] = _units(release, where, name, fields.get("aus", ""))
        notes += _check_apex(release, where, fields)
        sample = _sample(fields | {"note": "; ".join(filter(None, (fields.get("note"), *notes)))})
        if sample.onset == sample.offset:
            msg = f"{name}: onset and offset are the same frame, {sample.onset}: there is no motion. Correct this row."
            raise MepipeError(msg)
        missing = _missing(sample, numbered_frames(root / sample.clip))
        if missing:
            sample = sample.model_copy(update={"missing": missing})
            release.report(
                "warning",
                where,
                f"{name}: {ranges(runs(missing))} of {sample.onset}..{sample.offset} are missing in {sample.clip}: "
                "decoding fills them from their neighbours. Copy them from the release if it has them.",
            )
        _check_duration(release, where, sample)
        release.samples.append(sample)
        return sample
    return None


def claim(used: dict[Path, str], folder: Path, name: str) -> None:
    """Note in `used` that the folder is that of the clip `name`; MepipeError when it is another clip's already."""
    first = used.setdefault(folder, name)
    if first != name:
        msg = f"{name}: its folder, {folder.name}, is that of {first}. Correct one of the rows."
        raise MepipeError(msg)


def unlisted(release: Release, root: Path, folders: Iterable[Path], used: Container[Path], sheet: str) -> None:
    """A 'warning' for every clip's folder that no row of `sheet` leads to; none when no row leads to any."""
    for folder in folders if used else ():
        if folder not in used:
            release.report("warning", shown(folder, root), f"has no row in {sheet} and is passed over.")


def _correct(release: Release, where: str, fields: dict[str, Any], corrections: Sequence[Correction]) -> list[str]:
    notes = []
    for known in corrections:
        if known.clip != fields["id"]:
            continue
        wrong = fields[known.wrong] if isinstance(known.wrong, str) else known.wrong
        if fields[known.field] == wrong:
            fields[known.field] = known.right
            notes.append(known.why)
            release.report("note", where, f"{known.clip}: {known.why}.")
    return notes


def _check_emotion(release: Release, where: str, name: str, emotion: str, emotions: Sequence[str]) -> None:
    known = ", ".join(emotions)
    if emotions and not emotion:
        msg = f"{name}: no emotion. Fill it in with one of {known}, or delete this row."
        raise MepipeError(msg)
    if emotions and emotion.lower() not in {e.lower() for e in emotions}:
        release.report("warning", where, f"{name}: emotion {emotion!r} is none of {known}: no scheme will use it.")


def _units(release: Release, where: str, name: str, text: str) -> str:
    codes, words = aus.without_words(text)
    if words:
        release.report("note", where, f"{name}: {', '.join(map(repr, words))} among the action units is passed over.")
    try:
        return aus.normal(codes)
    except MepipeError as error:
        release.report("warning", where, f"{name}: {error} The sample is kept without its action units.")
        return ""


def _check_apex(release: Release, where: str, fields: dict[str, Any]) -> list[str]:
    """Drops an apex that lies outside; what is to be noted about it."""
    name, onset, offset, apex = fields["id"], fields["onset"], fields["offset"], fields.get("apex")
    if apex is None and "apex" in fields:
        release.report("warning", where, f"{name}: no apex in the sheet. The stage spot-apex finds one.")
    if apex is None or onset >= offset:
        return []
    if not onset <= apex <= offset:
        fields["apex"] = None
        problem = f"apex {apex} of the sheet lies outside onset {onset} .. offset {offset}"
        release.report(
            "warning", where, f"{name}: {problem}: dropped. The stage spot-apex finds one; or correct this row."
        )
        return [f"{problem}; dropped"]
    if apex in (onset, offset):
        which = "onset" if apex == onset else "offset"
        release.report("warning", where, f"{name}: the apex is the {which}, {apex}. Kept; look at the clip.")
    return []


def _sample(fields: dict[str, Any]) -> Sample:
    for value in fields.values():
        if isinstance(value, str) and value.encode(errors="replace").decode() != value:
            msg = f"{value!a} holds bytes that are no text. Rename the folder."
            raise MepipeError(msg)
    try:
        return Sample(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        problem = first["msg"].removeprefix("Value error, ")
        field = ".".join(map(str, first["loc"]))
        told = f"{field} {first['input']!r}: {problem}" if field else problem
        msg = f"{fields['id'] or 'a row without a name'}: {told}. Correct this row."
        raise MepipeError(msg) from None


def _missing(sample: Sample, there: Mapping[int, Path]) -> tuple[int, ...]:
    """The frame numbers between onset and offset that the folder lacks; MepipeError when they are too many.

    there: by number, ascending. Works on runs, not on numbers: a slip of the pen makes a range of a billion frames.
    """
    inside = [number for number in there if sample.onset <= number <= sample.offset]
    length = sample.offset - sample.onset + 1
    lacking = length - len(inside)
    if not lacking:
        return ()
    ends = [sample.onset - 1, *inside, sample.offset + 1]
    gaps = [(a + 1, b - 1) for a, b in pairwise(ends) if b - a > 1]
    longest = max(last - first + 1 for first, last in gaps)
    if (
        lacking > _MOST_MISSING * length
        or longest > _MOST_IN_A_ROW
        or not {sample.onset, sample.offset} <= there.keys()
    ):
        first, *_, last = (*there, max(there))
        msg = (
            f"{sample.id}: {lacking} of frames {sample.onset}..{sample.offset} are not in {sample.clip} "
            f"(missing: {ranges(gaps)}; there: {first}..{last}). Copy the folder again, or correct the row."
        )
        raise MepipeError(msg)
    return tuple(number for first, last in gaps for number in range(first, last + 1))


def _check_duration(release: Release, where: str, sample: Sample) -> None:
    frames = sample.offset - sample.onset + 1
    seconds = frames / sample.fps
    if seconds > _LONG:
        told = f"{sample.id}: {frames} frames at {sample.fps:g} fps are {seconds:.1f} s"
        if seconds > _TOO_LONG:
            release.report("warning", where, f"{told}, too long for a micro-expression. Check offset and fps.")
        else:
            release.report("note", where, f"{told}, longer than a micro-expression should be.")

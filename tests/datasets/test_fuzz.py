"""Mangled releases, a thousand of them: each gives a MepipeError, or samples that are right and findings for the rest.

What is right is judged from the mangled cells and folders themselves, read here without the code under test, and from
what was planted: a row and a folder that nobody touched give the very sample that was planted.
"""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.cell.cell import ERROR_CODES

from mepipe.datasets import adapters, manifest
from mepipe.datasets.findings import Release
from mepipe.datasets.frames import IMAGE_SUFFIXES
from mepipe.errors import MepipeError
from tests.datasets import fuzz_releases, mangled_folders, mangled_sheets
from tests.datasets.fuzz_releases import KINDS, loosely
from tests.datasets.mangled_sheets import Sheet, plain

Operations = Sequence[tuple[int, int]]  # number of the operation, seed of its random choices


def operations(of: Sequence[object]) -> st.SearchStrategy[list[tuple[int, int]]]:
    return st.lists(st.tuples(st.integers(0, len(of) - 1), st.integers(0, 10**6)), max_size=4)


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=20, suppress_health_check=list(HealthCheck), database=None)
@given(
    cells=operations(mangled_sheets.OPERATIONS),
    spoil=st.none() | st.none() | st.none() | st.integers(0, 10**6),
    folders=st.just([]) | operations(mangled_folders.OPERATIONS),
)
def test_a_mangled_release_is_read_rightly_or_not_at_all(
    name: str, cells: Operations, spoil: int | None, folders: Operations
) -> None:
    judge(name, cells, spoil, folders)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=150, suppress_health_check=list(HealthCheck), database=None)
@given(
    cells=operations(mangled_sheets.OPERATIONS),
    spoil=st.none() | st.none() | st.none() | st.integers(0, 10**6),
    folders=st.just([]) | operations(mangled_folders.OPERATIONS),
)
def test_a_thousand_mangled_releases_are_read_rightly_or_not_at_all(
    name: str, cells: Operations, spoil: int | None, folders: Operations
) -> None:
    judge(name, cells, spoil, folders)


def judge(name: str, cells: Operations, spoil: int | None, folders: Operations) -> None:
    """Mangle a release of the database, read it, and judge what comes of it."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "release"
        root.mkdir()
        fuzz_releases.write_frames(name, root)
        sheets = mangled(name, root, cells, spoil)
        for number, seed in folders:
            rng = random.Random(seed)
            folder = root / KINDS[name].folder_of(rng.choice(fuzz_releases.entries(name)))
            if folder.is_dir() and not folder.is_symlink():
                mangled_folders.OPERATIONS[number](folder, root, rng)
        try:
            found = adapters.load(KINDS[name].adapter).read(root)
        except MepipeError as error:
            refused = str(error)
        else:
            refused = ""
        if refused:
            assert len(refused) > 40
            assert folders or any(sheet.damaged for sheet in sheets), "the file and its columns are well"
            return
        check_frames(found, root)
        check_form(found)
        if sheets:
            check_rows(name, found, sheets)
        else:
            check_folders(found, root)
        inside_only = all(mangled_folders.OPERATIONS[number] is mangled_folders.frames for number, _ in folders)
        check_untouched(name, found, sheets, root, inside_only)


def mangled(name: str, root: Path, cells: Operations, spoil: int | None) -> list[Sheet]:
    sheets = [sheet.copy(root / sheet.path) for sheet in fuzz_releases.sheets(name)]
    for sheet in sheets:
        sheet.path.parent.mkdir(parents=True, exist_ok=True)
        sheet.path.write_bytes(sheet.data)
    changed = set()
    for number, seed in cells if sheets else ():
        rng = random.Random(seed)
        index = rng.randrange(len(sheets))
        mangled_sheets.OPERATIONS[number](sheets[index], rng)
        changed.add(index)
    for index in changed:
        sheets[index].write()
    if spoil is not None and sheets:
        rng = random.Random(spoil)
        mangled_sheets.spoil(rng.choice(sheets), rng)
    return sheets


def numbers_in(folder: Path) -> list[int]:
    """Of the frames that are files."""
    names = (
        path.stem
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    return sorted(int(runs[-1]) for runs in (re.findall("[0-9]+", name) for name in names) if runs)


def check_frames(found: Release, root: Path) -> None:
    """Onset, apex, offset and all between are there, but for what the sample itself says is missing."""
    for sample in found.samples:
        there = numbers_in(root / sample.clip)
        wanted = set(range(sample.onset, sample.offset + 1)) - set(sample.missing)
        assert wanted <= set(there)
        assert len(there) == len(set(there))
        assert not set(sample.missing) & set(there)
        assert {sample.onset, sample.offset} <= wanted
        assert sample.offset - sample.onset + 1 >= 10 * len(sample.missing)
    taken = [(sample.clip, sample.onset) for sample in found.samples]
    assert len(set(taken)) == len(taken), "two samples of one expression"


def check_form(found: Release) -> None:
    """It makes a manifest, in which a subject has one spelling, and every finding says something."""
    if found.samples:
        text = manifest.dump(found.samples).encode("utf-8").decode("utf-8")
        assert manifest.parse(text) == found.samples
    subjects = {sample.subject for sample in found.samples}
    assert len({loosely(subject) for subject in subjects}) == len(subjects)
    for finding in found.findings:
        assert finding.where
        assert len(finding.message) > 10


def check_rows(name: str, found: Release, sheets: Sequence[Sheet]) -> None:
    """A sample says what the row says that it is of; a row that is not blank is a sample or a finding."""
    kind = KINDS[name]
    rows = {
        f"{path.name}, row {sheet.line(index)}": (sheet, index)
        for sheet in sheets
        for path in (sheet.path, *sheet.copies)
        for index in range(len(sheet.body))
    }
    told = {finding.where for finding in found.findings}
    for sample in found.samples:
        where = found.rows[sample.id]
        sheet, index = rows[where]

        def cells(*titles: str, sheet: Sheet = sheet, index: int = index) -> set[str]:
            texts = {text for title in titles for text in sheet.values(index, title)}
            return texts | {str(int(text)) for text in texts if text.isdecimal()}  # '006' is 6

        plain_id = re.sub(r"_[23]$", "", sample.id) if name == "smic-long" else sample.id
        names = {(loosely(i), loosely(subject)) for i, subject in kind.names(cells, str(sample.onset))}
        assert (loosely(plain_id), loosely(sample.subject)) in names
        assert str(sample.onset) in cells(*kind.onset)
        assert str(sample.offset) in cells(*kind.offset)
        assert sample.apex is not None or where in told or not kind.apex
        assert sample.apex is None or str(sample.apex) in cells(*kind.apex)
        emotions = {text.lower() for text in cells(*kind.emotion)} or {""}
        assert name.startswith("smic") or sample.emotion.lower() in emotions
    read = {found.rows[sample.id] for sample in found.samples}
    for where, (sheet, index) in rows.items():
        titled = [plain(cell) for cell, title in zip(sheet.body[index], sheet.titles, strict=False) if title]
        # A formula nobody has computed has no value, nor has one that came to an error, such as #REF!.
        blank = all(not text or text.startswith("=") or text in ERROR_CODES for text in titled)
        if not (blank or sheet.damaged or sheet.copies):
            assert where in read | told


def check_folders(found: Release, root: Path) -> None:
    """SMIC without a sheet: a sample is what its folder is."""
    for sample in found.samples:
        folder = root / sample.clip
        there = numbers_in(folder)
        assert (sample.onset, sample.offset, sample.apex) == (min(there), max(there), None)
        assert loosely(folder.name) == loosely(sample.id)
        assert (
            folder.name.lower().split("_")[1] == {"negative": "ne", "positive": "po", "surprise": "sur"}[sample.emotion]
        )
        assert sample.id.split("_")[0] == sample.subject
        subjects = [loosely(part) for part in folder.relative_to(root).parts if re.fullmatch("[sS][0-9]+", part)]
        assert sample.subject == subjects[-1]


def check_untouched(name: str, found: Release, sheets: Sequence[Sheet], root: Path, inside_only: bool) -> None:
    """A row and a folder as they were give the planted sample; or a finding, if folders above were mangled as well."""
    samples = {sample.id: sample for sample in found.samples}
    after = [[*map(plain, cells)] for sheet in sheets if not sheet.damaged for cells in sheet.body]
    claims = [
        loosely(claim) for sheet in sheets for index in range(len(sheet.body)) for claim in claimed(name, sheet, index)
    ]
    for entry in fuzz_releases.entries(name):
        expected = fuzz_releases.sample(name, entry)
        row = fuzz_releases.rows(name).get(entry.name)
        if row and (after.count(row) != 1 or claims.count(loosely(entry.name)) != 1):
            continue
        if not intact(name, root, expected.clip):
            continue
        got = samples.get(entry.name)
        if inside_only:
            assert got
            assert fuzz_releases.essence(got) == fuzz_releases.essence(expected)
        elif got:
            assert fuzz_releases.essence(got) | {"clip": ""} == fuzz_releases.essence(expected) | {"clip": ""}
        else:
            assert found.findings


def claimed(name: str, sheet: Sheet, index: int) -> set[str]:
    """The ids that a row can stand for."""
    kind = KINDS[name]
    onsets = {text for title in kind.onset for text in sheet.values(index, title)}
    return {i for onset in onsets for i, _ in kind.names(lambda title: sheet.values(index, title), onset)}


def intact(name: str, root: Path, clip: str) -> bool:
    """The clip's folder holds what was planted there, and nothing else."""
    planted = {
        file
        for entry in fuzz_releases.entries(name)
        if KINDS[name].folder_of(entry) == clip
        for file in fuzz_releases.frame_names(name, entry)
    }
    folder = root / clip
    there = {path.name for path in folder.iterdir() if path.is_file()} if folder.is_dir() else set()
    return there == planted and len(list(folder.iterdir())) == len(planted)

"""The seal of a frozen folder (a snapshot, a feature): the digests of its files, so that any change of one is seen.

Checksums of chunks do not cover metadata: with one bit flipped in a shape, a unit or a parameter, everything still
reads, and of a coordinate that is gone Zarr makes fill values. What is frozen is written once, and follows from the
manifest and the recipe alone; so a damaged file can be made again without touching any other.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from mepipe.store.place import Place

FOLDER = "seal"  # to readers of Zarr, who warn of files that they do not know, an empty group


def close(folder: Path) -> None:
    """Seal a folder that is complete but for what comes later: chunks of data, the ledger's segments."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    digests = {p.relative_to(folder).as_posix(): _digest(p.read_bytes()) for p in files}
    (folder / FOLDER).mkdir()
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"frozen": digests}}
    (folder / FOLDER / "zarr.json").write_text(json.dumps(group))


def broken(place: Place, path: str, *, deep: bool = True) -> dict[str, str]:
    """{file: what is wrong} of a sealed folder. deep: coordinates, not only metadata."""
    try:
        group = json.loads(place.read(f"{path}/{FOLDER}/zarr.json"))
        ((name, digests),) = group["attributes"].items()
        leads_out = any(file.startswith("/") or ".." in file.split("/") for file in digests)
        if leads_out or (name, group["zarr_format"], group["node_type"]) != ("frozen", 3, "group"):
            raise ValueError
        wanted = {f: d for f, d in digests.items() if deep or f.endswith("zarr.json")}
        problems = {file: _problem(place, f"{path}/{file}", digest) for file, digest in wanted.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {f"{FOLDER}/zarr.json": "is gone or not a seal"}
    return {file: problem for file, problem in problems.items() if problem}


def allow(place: Place, path: str, file: str, content: bytes) -> None:
    """Let a frozen file be like this, too: a feature that is packed has another document of its data."""
    group = json.loads(place.read(f"{path}/{FOLDER}/zarr.json"))
    known = group["attributes"]["frozen"][file].split()
    if _digest(content) not in known:
        group["attributes"]["frozen"][file] = " ".join([*known, _digest(content)])
        place.write(f"{path}/{FOLDER}/zarr.json", json.dumps(group).encode())


def mend(place: Place, made: Path, path: str) -> None:
    """Put the files of a folder made again in the place of those that are gone or differ, one by one."""
    wrong = broken(place, path)
    seal = f"{FOLDER}/zarr.json"
    right = {p.relative_to(made).as_posix(): p.read_bytes() for p in sorted(made.rglob("*")) if p.is_file()}
    differs = {name for name, content in right.items() if _problem(place, f"{path}/{name}", _digest(content))}
    if wrong.keys() - differs:  # what it says of a file that is as it should be, or should not be, it says wrongly
        wrong[seal] = "is not as it was written"
    for name in sorted(differs):
        if name in wrong or seal in wrong:
            place.remove(f"{path}/{name}")  # a folder, perhaps
            place.write(f"{path}/{name}", right[name])


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _problem(place: Place, path: str, digest: str) -> str:
    try:
        return "" if _digest(place.read(path)) in digest.split() else "is not as it was written"
    except FileNotFoundError:
        return "is gone"

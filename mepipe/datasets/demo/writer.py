"""Writing a demo: rendered clip by clip in a private folder, which becomes OUT by one rename when it is complete."""

from __future__ import annotations

import json
import multiprocessing
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mepipe.errors import MepipeError, UsageError
from mepipe.names import nearest

if TYPE_CHECKING:
    from mepipe.datasets.demo.plan import Entry

FORMAT = 1
LAYOUTS = ("samm",)
RECORD = "demo.json"


@dataclass(frozen=True)
class DemoSummary:
    """What lies in a demo folder, and whether this call wrote it or found it complete."""

    root: Path
    layout: str
    subjects: int
    clips: int
    frames: int
    written: bool


def write(
    out: Path,
    layout: str = "samm",
    subjects: int = 8,
    clips: int = 6,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> DemoSummary:
    """Write a look-alike release of synthetic micro-expressions with their ground truth into `out`.

    `out` gets the release (for samm: SAMM/ and its workbook), demo.json, and truth/<clip>.npz (see `truth`).
    clips: of each subject; every fourth subject has one more, labelled Other. progress(done, of) is called after
    each clip. The same layout, subjects, clips and seed give the same bytes, whatever the number of workers.

    A folder that already holds this demo is left as it is. MepipeError when it holds anything else. A call that is
    interrupted leaves nothing at `out` (at most a hidden `.<name>.partial-*` folder beside it, which can be deleted).
    """
    _check(layout, subjects, clips, seed, workers)
    request: dict[str, int | str] = {
        "format": FORMAT,
        "layout": layout,
        "subjects": subjects,
        "clips": clips,
        "seed": seed,
    }
    found = _existing(out, request)
    if found is not None:
        return found

    from mepipe.datasets.demo import plan, portraits, samm_layout

    entries = plan.entries(subjects, clips, seed)
    frames = sum(entry.spec.frames for entry in entries)
    record = {**request, "total_clips": len(entries), "total_frames": frames, "licence": portraits.LICENCE}
    partial = out.absolute().parent / f".{out.absolute().name}.partial-{secrets.token_hex(4)}"
    try:
        (partial / "truth").mkdir(parents=True)
        for done, _ in enumerate(_render_all(partial, entries, workers), start=1):
            if progress is not None:
                progress(done, len(entries))
        samm_layout.write_sheet(partial, entries)
        (partial / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        try:
            partial.rename(out)  # replaces an empty folder; fails if another process was quicker
        except OSError:
            found = _existing(out, request)
            if found is None:
                raise
            return found
    except OSError as error:
        size = f"{frames // 11 + 1} MB"
        msg = f"The demo ({size}) cannot be written to {out}: {error}. Mend that, or choose another folder."
        raise MepipeError(msg) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return DemoSummary(out, layout, subjects, len(entries), frames, written=True)


def _check(layout: str, subjects: int, clips: int, seed: int, workers: int) -> None:
    if layout not in LAYOUTS:
        msg = f"No demo layout {layout!r}.{nearest(layout, LAYOUTS)} Known: {', '.join(LAYOUTS)}."
        raise UsageError(msg)
    limits = {"subjects": (subjects, 1, 900), "clips": (clips, 1, 200), "workers": (workers, 1, 1024)}
    for name, (value, least, most) in limits.items():
        if not least <= value <= most:
            msg = f"Cannot write a demo with {name} = {value}: choose {name} within {least}..{most}."
            raise UsageError(msg)
    if seed < 0:
        msg = f"Cannot write a demo with seed = {seed}: a seed is 0 or more."
        raise UsageError(msg)


def _existing(out: Path, request: dict[str, int | str]) -> DemoSummary | None:
    """The summary of this very demo if it lies at `out`, None if `out` is free; MepipeError otherwise."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    try:
        record = json.loads((out / RECORD).read_text(encoding="utf-8"))
        facts = {name: record[name] for name in (*request, "total_clips", "total_frames")}
    except (OSError, ValueError, KeyError, TypeError):
        msg = f"{out} is not empty and holds no demo ({RECORD} is missing or unreadable). Choose a new or empty folder."
        raise MepipeError(msg) from None
    differing = [f"{name} {facts[name]}, not {value}" for name, value in request.items() if facts[name] != value]
    if differing:
        msg = f"{out} holds another demo: {'; '.join(differing)}. Choose another folder, or delete this one."
        raise MepipeError(msg)
    frames = sum(1 for _ in out.glob("*/*/*/*.jpg"))
    truths = sum(1 for _ in (out / "truth").glob("*.npz"))
    if (frames, truths) != (facts["total_frames"], facts["total_clips"]):
        msg = (
            f"{out}: files were added to or deleted from this demo: {frames} frames, {truths} truth files; "
            f"{facts['total_frames']} and {facts['total_clips']} expected. Delete the folder and make it again."
        )
        raise MepipeError(msg)
    return DemoSummary(out, facts["layout"], facts["subjects"], truths, frames, written=False)


def _render_all(root: Path, entries: list[Entry], workers: int) -> Iterator[str]:
    """Render every clip, yielding its name when it is done."""
    if workers == 1:
        for entry in entries:
            yield _render_one(root, entry)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(entries)), context, initializer=_start_worker) as pool:
        jobs = [pool.submit(_render_one, root, entry) for entry in entries]
        try:
            for job in as_completed(jobs):
                yield job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Clips are rendered side by side, so OpenCV's own threads would only get in each other's way."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import cv2

    cv2.setNumThreads(1)


def _render_one(root: Path, entry: Entry) -> str:
    from mepipe.datasets.demo import render, samm_layout, truth

    frames, motion = render.clip(entry.spec)
    samm_layout.write_frames(root, entry, frames)
    truth.save(root / "truth" / f"{entry.name}.npz", motion)
    return entry.name

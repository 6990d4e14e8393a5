"""Writing a demo: rendered clip by clip in a private folder, which becomes OUT by one rename when it is complete."""

from __future__ import annotations

import json
import multiprocessing
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from mepipe.datasets.frames import IMAGE_SUFFIXES
from mepipe.errors import MepipeError, UsageError
from mepipe.names import nearest

if TYPE_CHECKING:
    import numpy as np

    from mepipe.datasets.demo.faults import Fault
    from mepipe.datasets.demo.plan import Entry

FORMAT = 1
LAYOUTS: dict[str, str] = {
    name: f"mepipe.datasets.demo.{name}_layout" for name in ("samm", "casme2", "smic", "casme3", "dfme")
}
RECORD = "demo.json"
_MOST_WITH_FAULTS = 20  # subjects: beyond, a planned clip could have the name of a planted one


class Layout(Protocol):
    """What a layout module offers: how a database names, numbers, labels and stores clips."""

    FPS: Sequence[float]  # of the subjects in turn

    def adapt(self, entries: Sequence[Entry]) -> list[Entry]:
        """The planned clips with the names (the adapter's ids), numbers and labels that this database has."""

    def clip_folder(self, entry: Entry) -> str:
        """Where a clip's frames lie, relative to the release."""

    def write_frames(self, root: Path, entry: Entry, frames: np.ndarray) -> None:
        """Write uint8 [T, H, W] as this database stores frames."""

    def write_sheets(self, root: Path, entries: Sequence[Entry], faults: bool) -> list[Fault]:
        """Write the annotation, if there is one; with `faults` plant bad rows and folders, and say which."""


@dataclass(frozen=True)
class DemoSummary:
    """What lies in a demo folder, and whether this call wrote it or found it complete. frames: pictures, all told."""

    root: Path
    layout: str
    subjects: int
    clips: int
    frames: int
    written: bool


def layout_module(name: str) -> Layout:
    """The module of a layout. UsageError for an unknown name, with the nearest known one."""
    if name not in LAYOUTS:
        msg = f"No demo layout {name!r}.{nearest(name, LAYOUTS)} Known: {', '.join(LAYOUTS)}."
        raise UsageError(msg)
    return cast(Layout, import_module(LAYOUTS[name]))


def write(
    out: Path,
    layout: str = "samm",
    subjects: int = 8,
    clips: int = 6,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    faults: bool = False,
) -> DemoSummary:
    """Write a look-alike release of synthetic micro-expressions with their ground truth into `out`.

    `out` gets the release (for samm: SAMM/ and its workbook), demo.json, and truth/<id>.npz of each clip (see `truth`).
    clips: of each subject; every fourth subject has one more, labelled Other, where the database has that label.
    faults: with bad rows and folders, as the real release has them; demo.json lists them (see `faults.Fault`).
    progress(done, of) is called after each clip. The same request gives the same bytes, whatever the number of workers.

    A folder that already holds this demo is left as it is. MepipeError when it holds anything else. A call that is
    interrupted leaves nothing at `out` (at most a hidden `.<name>.partial-*` folder beside it, which can be deleted).
    """
    module = layout_module(layout)
    _check(subjects, clips, seed, workers, faults)
    request: dict[str, int | str] = {
        "format": FORMAT,
        "layout": layout,
        "subjects": subjects,
        "clips": clips,
        "seed": seed,
    }
    found = _existing(out, request, faults)
    if found is not None:
        return found

    from mepipe.datasets.demo import plan, portraits

    entries = module.adapt(plan.entries(subjects, clips, seed, module.FPS))
    partial = out.absolute().parent / f".{out.absolute().name}.partial-{secrets.token_hex(4)}"
    try:
        (partial / "truth").mkdir(parents=True)
        for done, _ in enumerate(_render_all(partial, layout, entries, workers), start=1):
            if progress is not None:
                progress(done, len(entries))
        planted = module.write_sheets(partial, entries, faults)
        frames = _pictures(partial)
        record: dict[str, Any] = {**request, "total_clips": len(entries), "total_frames": frames}
        record["licence"] = portraits.LICENCE
        if faults:
            record["faults"] = [asdict(fault) for fault in planted]
        (partial / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        try:
            partial.rename(out)  # replaces an empty folder; fails if another process was quicker
        except OSError:
            found = _existing(out, request, faults)
            if found is None:
                raise
            return found
    except OSError as error:
        size = f"about {sum(entry.spec.frames for entry in entries) // 11 + 1} MB"
        msg = f"The demo ({size}) cannot be written to {out}: {error}. Mend that, or choose another folder."
        raise MepipeError(msg) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return DemoSummary(out, layout, subjects, len(entries), frames, written=True)


def _check(subjects: int, clips: int, seed: int, workers: int, faults: bool) -> None:
    most = _MOST_WITH_FAULTS if faults else 900
    limits = {"subjects": (subjects, 1, most), "clips": (clips, 1, 200), "workers": (workers, 1, 1024)}
    for name, (value, least, most) in limits.items():
        if not least <= value <= most:
            msg = f"Cannot write a demo with {name} = {value}: choose {name} within {least}..{most}."
            raise UsageError(msg)
    if seed < 0:
        msg = f"Cannot write a demo with seed = {seed}: a seed is 0 or more."
        raise UsageError(msg)


def _existing(out: Path, request: dict[str, int | str], faults: bool) -> DemoSummary | None:
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
    if ("faults" in record) != faults:
        differing.append("without faults" if faults else "with faults")
    if differing:
        msg = f"{out} holds another demo: {'; '.join(differing)}. Choose another folder, or delete this one."
        raise MepipeError(msg)
    frames = _pictures(out)
    truths = sum(1 for _ in (out / "truth").glob("*.npz"))
    if (frames, truths) != (facts["total_frames"], facts["total_clips"]):
        msg = (
            f"{out}: files were added to or deleted from this demo: {frames} frames, {truths} truth files; "
            f"{facts['total_frames']} and {facts['total_clips']} expected. Delete the folder and make it again."
        )
        raise MepipeError(msg)
    return DemoSummary(out, facts["layout"], facts["subjects"], truths, frames, written=False)


def _pictures(root: Path) -> int:
    return sum(Path(name).suffix in IMAGE_SUFFIXES for _, _, names in os.walk(root) for name in names)


def _render_all(root: Path, layout: str, entries: list[Entry], workers: int) -> Iterator[str]:
    """Render every clip, yielding its name when it is done."""
    if workers == 1:
        for entry in entries:
            yield _render_one(root, layout, entry)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(entries)), context, initializer=_start_worker) as pool:
        jobs = [pool.submit(_render_one, root, layout, entry) for entry in entries]
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


def _render_one(root: Path, layout: str, entry: Entry) -> str:
    from mepipe.datasets.demo import render, truth

    frames, motion = render.clip(entry.spec)
    layout_module(layout).write_frames(root, entry, frames)
    truth.save(root / "truth" / f"{entry.name}.npz", motion)
    return entry.name

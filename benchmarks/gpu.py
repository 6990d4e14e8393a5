"""What computes on a GPU, against the processor: how long a clip takes, and how far apart the results are.

Needs NumPy and Torch alone. Where numba, OpenCV or SciPy are absent, as on many GPU machines, results of the processor
made elsewhere take their place: `python -m benchmarks.gpu --save FILE` there, `--against FILE` here.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.tables import Asked, Report, Row, Table, markdown
from mepipe.ops import eulerian, strain, tvl1

TITLE = "Processor and GPU"
_TEXT = """\
One clip of a synthetic texture that moves by up to 1.5 px, with a camera's noise. Both columns of ms are the median of
three calls, everything imported and compiled, from NumPy to NumPy, so that the way to the device and back is in them.
The processor's is CPU time of one thread. Difference: mean and 99.9th percentile, in px, grey levels of 255, or 1/1000
(strain). Error: mean distance to the true motion, px, processor and device."""
_NO_GPU = """\
**No GPU here.** The device's column is the same Torch code on the processor (CPU time, one thread): the differences
hold for the scheme, the times say nothing of a GPU. Nor could steps per second and memory of full-size models be
measured: `mepipe train MODEL --device cuda` on a machine that has one."""
_SKIPPED = "skipped: needs numba, OpenCV, SciPy, or --against"
ROUNDS = 3


@dataclass(frozen=True)
class _Subject:
    """compute: device -> array. scale: to the unit of the table. bound: on the mean difference, where one is asked."""

    name: str
    compute: Callable[[str], np.ndarray]
    bound: float
    scale: float = 1.0
    truth: np.ndarray | None = None


@dataclass(frozen=True)
class _Result:
    value: np.ndarray
    ms: float


def run(quick: bool = False, against: Path | None = None) -> Report:
    """A small clip when `quick`. against: a file that `save` wrote, with the same `quick`."""
    gpu = torch.cuda.is_available()
    device = "cuda" if gpu else "cpu:0"
    if not gpu:
        torch.set_num_threads(1)
    rows: list[Row] = []
    asked = []
    for subject in _subjects(quick):
        expected = _read(subject, against) if against else _measured(subject, "cpu", time.process_time)
        found = _measured(subject, device, time.perf_counter if gpu else time.process_time)
        if expected is None or found is None:
            rows.append((subject.name, _SKIPPED, found.ms if found else "", "", "", "", ""))
            continue
        apart = _apart(found.value - expected.value, subject)
        errors = [_apart(r.value - subject.truth, subject) for r in (expected, found) if subject.truth is not None]
        means = [float(e.mean()) for e in errors]
        measures = (expected.ms, found.ms, float(apart.mean()), float(np.quantile(apart, 0.999)))
        rows.append((subject.name, *measures, *(means or ("", ""))))
        asked.append(Asked(f"{subject.name}: mean difference", float(apart.mean()), "<=", subject.bound))
        if means:
            asked.append(Asked(f"{subject.name}: error against the processor's", means[1] / means[0], "<=", 1.03))
    header = ("what", "processor, ms", "device, ms", "difference", "99.9 %", "error, processor", "error, device")
    name = torch.cuda.get_device_name() if gpu else "the processor, by way of Torch"
    text = _TEXT if gpu else f"{_NO_GPU}\n\n{_TEXT}"
    return Report(TITLE, text, [Table(f"Torch {torch.__version__}; device: {name}", header, rows)], asked)


def save(path: Path, quick: bool = False) -> None:
    """Keep what the processor gives, and how long it took, for a machine that cannot compute it."""
    results = {subject.name: _measured(subject, "cpu", time.process_time) for subject in _subjects(quick)}
    kept = {name: result for name, result in results.items() if result}
    times = {f"{name}, ms": np.float64(result.ms) for name, result in kept.items()}
    np.savez_compressed(path, **{name: result.value for name, result in kept.items()}, **times)


def _read(subject: _Subject, path: Path) -> _Result | None:
    with np.load(path) as kept:
        return _Result(kept[subject.name], float(kept[f"{subject.name}, ms"])) if subject.name in kept else None


def _measured(subject: _Subject, device: str, clock: Callable[[], float]) -> _Result | None:
    """None where a library is absent that it needs there."""
    try:
        value = subject.compute(device)  # compiles, and takes memory
    except ImportError:
        return None
    times = []
    for _ in range(ROUNDS):
        start = clock()
        subject.compute(device)
        times.append(1e3 * (clock() - start))
    return _Result(value, float(np.median(times)))


def _apart(difference: np.ndarray, subject: _Subject) -> np.ndarray:
    """Of flow the length of the vectors, of all else the absolute value; in the subject's unit."""
    return subject.scale * (np.abs(difference) if subject.truth is None else np.hypot(*np.moveaxis(difference, 1, 0)))


def _subjects(quick: bool) -> list[_Subject]:
    size, frames = (96, 5) if quick else (224, 16)
    clip, truth = _clip(size, frames)

    def flow(preset: str, mode: str, device: str) -> np.ndarray:
        return tvl1.flow(clip[0], clip[1:], preset, mode, device)

    colours = np.repeat(clip[..., None] / np.float32(255), 3, axis=-1)
    magnify = partial(eulerian.magnify, colours, 200.0)
    levels = [0.5, 1.0, 1.0, 0.0]
    return [
        # Tolerances: tests/ops/test_tvl1_torch.py says where they come from.
        _Subject("flow, micro, exact", lambda device: flow("micro", "exact", device), 0.01, truth=truth),
        _Subject("flow, micro, clip", lambda device: flow("micro", "clip", device), 0.04, truth=truth),
        _Subject("flow, opencv, exact", lambda device: flow("opencv", "exact", device), 0.025, truth=truth),
        _Subject("magnification", lambda device: magnify(device=device), 0.01, 255),
        _Subject("magnification by levels", lambda device: magnify(gains=levels, device=device), 0.01, 255),
        _Subject("strain", lambda device: strain.strain(truth, device=device), 0.01, 1000),
    ]


def _clip(size: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames float32 [T, size, size] and the true motion [T - 1, 2, size, size]; plane waves, so exact anywhere."""
    rng = np.random.default_rng(0)
    lengths, angles, phases = np.geomspace(4, 80, 60), *rng.uniform(0, 2 * np.pi, (2, 60))
    waves = 2 * np.pi / lengths * np.array([np.cos(angles), np.sin(angles)])
    grid = np.mgrid[:size, :size][::-1].astype(np.float64)
    middle, width = (size - 1) / 2, size / 8

    def motion(x: np.ndarray, amount: float) -> np.ndarray:
        bump = np.exp(-((x - middle) ** 2).sum(axis=0) / (2 * width**2))
        return amount * np.array([1.2, -0.9])[:, None, None] * bump

    def frame(amount: float) -> np.ndarray:
        source = grid
        for _ in range(30):  # where what is seen here came from: a fixed point
            source = grid - motion(source, amount)
        seen = sum(
            0.6 * length**0.7 * np.cos(a * source[0] + b * source[1] + phase)
            for length, a, b, phase in zip(lengths, *waves, phases, strict=True)
        )
        seen = 128 + seen
        return (seen + rng.normal(size=seen.shape) * np.sqrt((4 + 0.02 * np.abs(seen)) / 5)).astype(np.float32)

    amounts = np.sin(np.linspace(0, np.pi, frames)) ** 2
    truth = np.stack([motion(grid, amount) for amount in amounts[1:]]).astype(np.float32)
    return np.stack([frame(amount) for amount in amounts]), truth


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small clip")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the processor's results, and stop")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with kept results")
    given = parser.parse_args()
    if given.save:
        save(given.save, given.quick)
    else:
        print(markdown(run(given.quick, given.against)))


if __name__ == "__main__":
    main()
